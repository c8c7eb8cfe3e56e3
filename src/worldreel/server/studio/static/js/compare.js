// Two videos side by side, played as one.

import { html, nothing, styleMap } from "../vendor/lit.js";
import { Element, problem } from "./base.js";
import { get, media } from "./api.js";
import { icon } from "./icons.js";
import { length, title } from "./words.js";

class Compare extends Element {
  static properties = { videos: { state: true }, plays: { state: true }, lost: { state: true } };

  connectedCallback() {
    super.connectedCallback();
    document.title = "Compare · worldreel";
    this.keys = (event) => this.pressed(event);
    document.addEventListener("keydown", this.keys);
    this.load();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener("keydown", this.keys);
  }

  async load() {
    const asked = new URLSearchParams(location.search);
    const ids = [asked.get("a"), asked.get("b")].filter(Boolean);
    try {
      this.videos = await Promise.all(ids.map((id) => get(`/studio/api/videos/${id}`)));
    } catch (error) {
      problem(error);
      this.lost = true;
    }
  }

  get players() {
    return [...this.querySelectorAll("video")];
  }

  toggle() {
    this.plays = !this.plays;
    for (const player of this.players) (this.plays ? player.play() : player.pause())?.catch?.(() => {});
  }

  step(frames) {
    this.plays = false;
    for (const player of this.players) {
      player.pause();
      player.currentTime = Math.max(0, player.currentTime + frames / 12);
    }
  }

  begin() {
    for (const player of this.players) player.currentTime = 0;
  }

  pressed(event) {
    if (event.target.closest("input, textarea, select") || (event.key === " " && event.target.closest("button, a"))) return;
    if (event.key === " ") this.toggle();
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else return;
    event.preventDefault();
  }

  render() {
    if (this.lost || this.videos?.length === 0) return html`<div class="empty">${icon("compare")}<h1 style="font-size:var(--size-4)">Nothing to compare</h1><p>Choose two videos in the library with “Select”.</p><a class="button" href="/library">To the library</a></div>`;
    if (!this.videos) return html`<div class="pair wide"><div class="bone" style="aspect-ratio:1"></div><div class="bone" style="aspect-ratio:1"></div></div>`;
    const differ = (name) => this.videos.length === 2 && String(this.videos[0][name]) !== String(this.videos[1][name]);
    return html`<div class="page-head"><h1>Side by side</h1><div class="row">
        <button class="button" @click=${this.begin}>${icon("back")} From the start</button>
        <button class="button first" @click=${this.toggle}>${icon(this.plays ? "pause" : "play", !this.plays)} ${this.plays ? "Pause" : "Play both"}</button></div></div>
      <div class="pair wide">${this.videos.map((video) => html`<article class="stack" style="gap:var(--gap-3)">
        <div class="stage" style=${styleMap({ aspectRatio: `${this.videos[0].width} / ${this.videos[0].height}`, maxHeight: "60vh" })}><video src=${media.video(video.id)} poster=${media.still(video.id)} muted loop playsinline aria-label=${title(video)}></video></div>
        <h2 style="font-size:var(--size-2)"><a href="/video/${video.id}">${title(video)}</a></h2>
        <dl class="facts">${[["seed", "Seed"], ["size", "Size"], ["seconds", "Length"], ["made_by", "Model"]].map(([name, label]) => html`
          <div class=${differ(name) ? "differs" : nothing}><dt>${label}</dt><dd class="number">${name === "seconds" ? length(video[name]) : video[name]}</dd></div>`)}</dl></article>`)}</div>`;
  }
}

customElements.define("wr-compare", Compare);
