// One video: watched, judged, used again, and made into others.

import { html, nothing, styleMap } from "../vendor/lit.js";
import { Element, app, go, problem, toast } from "./base.js";
import { get, media, post } from "./api.js";
import { restore } from "./draft.js";
import { icon } from "./icons.js";
import { destroy, favourite, queue } from "./queue.js";
import { TOOLS, panel } from "./tools.js";
import { ago, length, plural, task, title, wait } from "./words.js";
import { keep } from "./storyboard.js";
import "./player.js";

const REASONS = [
  ["harmful", "It is cruel, sexual or hateful"],
  ["person", "It shows a real person"],
  ["brand", "It shows somebody else’s character or brand"],
  ["wrong", "It is not what I asked for"],
  ["other", "Something else"],
];

class VideoPage extends Element {
  static properties = { name: { type: String }, video: { state: true }, badge: { state: true }, lost: { state: true }, tool: { state: true }, asks: { state: true } };

  constructor() {
    super();
    app.watch(this);
    queue.watch(this);
    this.tool = new URLSearchParams(location.search).get("tool");
  }

  connectedCallback() {
    super.connectedCallback();
    this.keys = (event) => {
      if (event.key === "f" && !event.ctrlKey && !event.metaKey && !event.target.closest("input, textarea, select")) this.like();
    };
    this.escape = (event) => { if (this.tool) { event.preventDefault(); this.tool = null; } };
    this.finished = () => this.load();
    document.addEventListener("keydown", this.keys);
    addEventListener("escape", this.escape);
    addEventListener("finished", this.finished);
    this.load();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener("keydown", this.keys);
    removeEventListener("escape", this.escape);
    removeEventListener("finished", this.finished);
  }

  async load() {
    try {
      this.video = await get(`/studio/api/videos/${this.name}`);
    } catch (error) {
      this.lost = error.message;
      return;
    }
    document.title = `${title(this.video).slice(0, 60)} · worldreel`;
    if (this.video.status === "completed" && !this.badge) this.badge = await get(`/studio/api/videos/${this.name}/badge`).catch(() => ({ answer: "unknown", evidence: [], off: [] }));
  }

  async like() {
    this.video = { ...this.video, ...(await favourite(this.video)) };
  }

  async file(event) {
    const folder = event.target.value.trim();
    const told = await post(`/studio/api/videos/${this.name}/marks`, { folder }).catch(problem);
    if (told) toast(folder ? `It lies in “${folder}” now.` : "It lies in no folder now.");
  }

  again() {
    if (this.video.shots.length) keep(this.video);
    else restore(this.video);
    go(this.video.shots.length ? "/storyboard" : "/");
  }

  async report(event) {
    event.preventDefault();
    const form = new FormData(event.target);
    const told = await post("/studio/api/reports", { video: this.name, reason: form.get("reason"), note: form.get("note") }).catch(problem);
    if (!told) return;
    this.asks = false;
    toast("Thank you. Whoever runs this server will look at it.");
  }

  render() {
    if (this.lost) return html`<div class="empty">${icon("search")}<h1 style="font-size:var(--size-4)">No such video</h1><p>It was deleted, or the address is not quite right.</p><a class="button" href="/library">To the library</a></div>`;
    const video = this.video;
    if (!video) return html`<div class="watch"><div class="bone" style="aspect-ratio:1;max-height:38rem"></div><div class="stack"><div class="bone" style="height:6rem"></div><div class="bone" style="height:12rem"></div></div></div>`;
    if (video.status !== "completed") return html`<div class="empty">${icon("create")}<h1 style="font-size:var(--size-4)">${video.status === "failed" ? "This one did not work" : "Still being made"}</h1><p>“${title(video)}”</p><a class="button" href="/">See how it goes</a></div>`;
    return html`
      <div class="watch">
        <wr-player .video=${video}></wr-player>
        <div class="stack about">
          <div class="stack" style="gap:var(--gap-3)">
            ${video.shots.length ? html`<h1 class="caption">A storyboard of ${plural(video.shots.length, "shot")}</h1>
              <ol class="shots">${video.shots.map(([text, seconds]) => html`<li>${text} <span class="soft small number">${length(seconds)}</span></li>`)}</ol>` : html`<h1 class="caption">${title(video)}</h1>`}
            <p class="small soft">${task(video.task)} · ${ago(video.created_at)}${video.inference_time_s ? ` · took ${wait(video.inference_time_s)}` : ""}</p>
          </div>
          <div class="row">
            <button class="button" aria-pressed=${video.favourite ? "true" : "false"} title="F" @click=${this.like}>${icon("heart", video.favourite)} Favourite</button>
            <a class="button" href=${media.video(video.id)} download="${video.id}.mp4">${icon("download")} Download</a>
            <button class="button" @click=${this.again} title="Prompt, seed and settings, back into the prompt box">${icon("again")} Use again</button>
          </div>
          ${this.trust()}
          <dl class="facts">
            <div><dt>Seed</dt><dd class="number">${video.seed}</dd></div>
            <div><dt>Size</dt><dd class="number">${video.size.replace("x", " × ")}</dd></div>
            <div><dt>Length</dt><dd class="number">${length(video.seconds)}</dd></div>
            <div><dt>Model</dt><dd>${video.made_by}</dd></div>
          </dl>
          ${video.notes.length ? html`<ul class="small soft notes">${video.notes.map((note) => html`<li>${note}</li>`)}</ul>` : nothing}
          <div class="row apart">
            <label class="row small soft" style="flex-wrap:nowrap;gap:.5rem">${icon("folder")}<span class="hidden-text">Folder</span>
              <input class="input" style="width:10rem;min-height:2rem;padding:.2rem .6rem" maxlength="80" placeholder="No folder" .value=${video.folder} @change=${this.file}></label>
            <span class="row" style="gap:0"><button class="button plain small" @click=${() => { this.asks = true; }}>${icon("flag")} Report</button>
              <button class="button plain small bad" @click=${() => { destroy([video], () => go(`/video/${video.id}`)); go("/library"); }}>${icon("trash")} Delete</button></span>
          </div>
        </div>
      </div>
      <section class="section" aria-labelledby="make-more"><h2 id="make-more">Make more of it</h2>
        <div class="tools" role="group" aria-label="Tools">${TOOLS.map((one) => html`
          <button class="tool" aria-pressed=${this.tool === one.name ? "true" : "false"} aria-expanded=${this.tool === one.name ? "true" : "false"}
            @click=${() => { this.tool = this.tool === one.name ? null : one.name; }}>${icon(one.icon)}<span>${one.label}</span></button>`)}</div>
        ${this.tool ? panel(this.tool, video, { close: () => { this.tool = null; }, player: () => this.querySelector("wr-player") }) : nothing}
      </section>
      ${this.family("Made from", video.made_from)}${this.family("Became", video.became)}
      ${this.asks ? this.reporting() : nothing}`;
  }

  trust() {
    const badge = this.badge;
    if (!badge) return html`<div class="bone" style="height:3.5rem"></div>`;
    const sure = badge.answer === "yes";
    const parts = sure ? ["Signed", badge.watermark ? "watermarked" : null, badge.off.includes("frame review") ? null : "reviewed"].filter(Boolean).join(", ") : badge.state === "none" ? "Not signed" : "Not as it was signed";
    return html`<details class="badge ${sure ? "sure" : ""}"><summary>${icon("shield")}<span>${parts}</span></summary>
      <div class="small stack" style="gap:.4rem">${badge.evidence.map((one) => html`<p><strong>${one.source}:</strong> ${one.answer}. ${one.why}</p>`)}
        ${badge.off.length ? html`<p>Turned off by who runs this server: ${badge.off.join(", ")}.</p>` : nothing}
        <p class="soft">The same as <code>worldreel inspect</code> says of the file, wherever it goes.</p></div></details>`;
  }

  family(heading, videos) {
    if (!videos?.length) return nothing;
    return html`<section class="section" aria-label=${heading}><h2>${heading}</h2><ul class="family">${videos.map((one) => html`
      <li><a href="/video/${one.id}">${one.status === "completed" ? html`<img src=${media.still(one.id)} alt="" style=${styleMap({ aspectRatio: `${one.width} / ${one.height}` })}>` : html`<div class="bone" style="height:8rem"></div>`}
        <span class="small clamp">${task(one.task)}: ${title(one)}</span></a></li>`)}</ul></section>`;
  }

  reporting() {
    const close = () => { this.asks = false; };
    return html`<dialog aria-labelledby="report" @close=${close}>
      <form @submit=${this.report}><div class="dialog-head"><h2 id="report">What is wrong with it?</h2><button type="button" class="button plain round small" aria-label="Close" @click=${close}>${icon("close")}</button></div>
      <div class="dialog-body"><fieldset class="plain stack" style="gap:.3rem"><legend class="hidden-text">Reason</legend>${REASONS.map(([value, label], number) => html`
          <label class="check"><input type="radio" name="reason" value=${value} ?checked=${number === 0} required> ${label}</label>`)}</fieldset>
        <label class="field"><span>In your words, if you like</span><textarea class="input" name="note" rows="3" maxlength="2000"></textarea></label>
        <p class="small soft">It goes to whoever runs this server, and nowhere else.</p>
        <div class="dialog-foot"><button type="button" class="button plain" @click=${close}>Never mind</button><button class="button first">Report</button></div></div></form></dialog>`;
  }

  updated() {
    const dialog = this.querySelector("dialog");
    if (dialog && !dialog.open) dialog.showModal();
  }
}

customElements.define("wr-video", VideoPage);
