// All videos: searched, in folders, chosen two at a time to be compared or blended.

import { html, nothing } from "../vendor/lit.js";
import { Element, go, problem, toast } from "./base.js";
import { get, post } from "./api.js";
import { icon } from "./icons.js";
import { destroy, isDoomed, queue } from "./queue.js";
import { bones, grid } from "./tile.js";
import { plural } from "./words.js";

class Library extends Element {
  static properties = {
    videos: { state: true }, folders: { state: true }, more: { state: true }, total: { state: true },
    words: { state: true }, folder: { state: true }, loved: { state: true }, picking: { state: true }, picked: { state: true },
  };

  constructor() {
    super();
    queue.watch(this);
    const asked = new URLSearchParams(location.search);
    Object.assign(this, { videos: null, folders: [], more: false, total: 0, words: asked.get("q") ?? "", folder: asked.get("folder"), loved: asked.has("favourites"), picking: false, picked: new Map() });
  }

  connectedCallback() {
    super.connectedCallback();
    document.title = "Library · worldreel";
    this.changed = () => this.load();
    this.escape = (event) => { if (this.picking) { event.preventDefault(); this.pickNothing(); } };
    addEventListener("finished", this.changed);
    addEventListener("escape", this.escape);
    this.load();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("finished", this.changed);
    removeEventListener("escape", this.escape);
    this.watcher?.disconnect();
  }

  async load(after = null) {
    const asked = new URLSearchParams({ words: this.words, favourite: this.loved });
    if (this.folder !== null) asked.set("folder", this.folder);
    if (after) asked.set("after", after);
    const turn = (this.turn = (this.turn ?? 0) + 1);
    const page = await get(`/studio/api/library?${asked}`).catch(problem);
    if (!page || turn !== this.turn) return;
    this.videos = after ? [...this.videos, ...page.data] : page.data;
    [this.more, this.total, this.folders] = [page.has_more, page.total, page.folders];
  }

  look(patch) {
    Object.assign(this, patch);
    const asked = new URLSearchParams();
    if (this.words) asked.set("q", this.words);
    if (this.folder !== null) asked.set("folder", this.folder);
    if (this.loved) asked.set("favourites", "");
    history.replaceState(null, "", `/library${asked.size ? `?${asked}` : ""}`);
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.load(), 180);
  }

  updated() {
    const end = this.querySelector(".list-end");
    if (!end) return;
    this.watcher ??= new IntersectionObserver(([seen]) => seen.isIntersecting && this.more && this.load(this.videos.at(-1).id), { rootMargin: "600px" });
    this.watcher.disconnect();
    this.watcher.observe(end);
  }

  pick(video) {
    const picked = new Map(this.picked);
    if (!picked.delete(video.id)) picked.set(video.id, video);
    this.picked = picked;
  }

  pickNothing() {
    Object.assign(this, { picking: false, picked: new Map() });
  }

  async move() {
    const folder = this.querySelector("#into").value.trim();
    try {
      for (const id of this.picked.keys()) await post(`/studio/api/videos/${id}/marks`, { folder });
      toast(folder ? `Moved to “${folder}”.` : "Taken out of their folders.");
    } catch (error) {
      problem(error);
    }
    this.pickNothing();
    this.load();
  }

  render() {
    const shown = this.videos?.filter((video) => !isDoomed(video.id)) ?? [];
    return html`
      <div class="page-head"><h1>Library</h1>
        <div class="row">
          <label class="search">${icon("search")}<span class="hidden-text">Search in the prompts</span>
            <input id="search" class="input" type="search" placeholder="Search" .value=${this.words} @input=${(event) => this.look({ words: event.target.value })}></label>
          <button class="button" aria-pressed=${this.loved ? "true" : "false"} @click=${() => this.look({ loved: !this.loved })}>${icon("heart", this.loved)} Favourites</button>
          <button class="button" aria-pressed=${this.picking ? "true" : "false"} @click=${() => (this.picking ? this.pickNothing() : (this.picking = true))}>Select</button>
        </div></div>
      ${this.folders.length ? html`<div class="folders" role="group" aria-label="Folders">
        ${[null, ...this.folders].map((name) => html`<button class="button small" aria-pressed=${this.folder === name ? "true" : "false"}
          @click=${() => this.look({ folder: name })}>${name === null ? "Everything" : html`${icon("folder")} ${name}`}</button>`)}</div>` : nothing}
      ${this.videos === null ? bones(12) : shown.length ? grid(shown, { picking: this.picking, picked: this.picked, pick: (video) => this.pick(video) }) : this.empty()}
      <div class="list-end" style="height:1px"></div>
      ${this.picking ? this.tray() : nothing}`;
  }

  empty() {
    if (this.words || this.loved || this.folder !== null) {
      return html`<div class="empty">${icon("search")}<h2>Nothing here</h2><p>No video fits what you look for.</p>
        <button class="button" @click=${() => this.look({ words: "", loved: false, folder: null })}>Show everything</button></div>`;
    }
    return html`<div class="empty">${icon("library")}<h2>Your videos will live here</h2>
      <p>Everything you make is kept, with the words and the seed that made it.</p><a class="button first" href="/">Make the first one</a></div>`;
  }

  tray() {
    const ids = [...this.picked.keys()];
    const two = ids.length === 2;
    return html`<div class="tray card" role="region" aria-label="Chosen videos">
      <span class="number">${ids.length ? plural(ids.length, "video") : "Choose some"}</span>
      <button class="button small" ?disabled=${!two} title="Two, side by side" @click=${() => go(`/compare?a=${ids[0]}&b=${ids[1]}`)}>${icon("compare")} Compare</button>
      <button class="button small" ?disabled=${!two} title="One video out of two" @click=${() => go(`/video/${ids[0]}?tool=blend&with=${ids[1]}`)}>${icon("blend")} Blend</button>
      <form class="row" style="gap:.35rem" @submit=${(event) => { event.preventDefault(); this.move(); }}>
        <label class="hidden-text" for="into">Folder</label><input id="into" class="input" style="width:9rem;min-height:2rem;padding:.2rem .6rem" list="known-folders" maxlength="80" placeholder="Folder">
        <datalist id="known-folders">${this.folders.map((name) => html`<option value=${name}></option>`)}</datalist>
        <button class="button small" ?disabled=${!ids.length}>${icon("folder")} Move</button></form>
      <button class="button small bad" ?disabled=${!ids.length} @click=${() => { destroy([...this.picked.values()], () => this.load()); this.pickNothing(); }}>${icon("trash")} Delete</button>
      <button class="button plain small" @click=${this.pickNothing}>Done</button></div>`;
  }
}

customElements.define("wr-library", Library);
