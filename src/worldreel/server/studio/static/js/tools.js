// The tools, one button each: a panel with the few things that a tool wants to know.

import { html, live, nothing } from "../vendor/lit.js";
import { Element, problem, toast } from "./base.js";
import { get, media, order, post } from "./api.js";
import { icon } from "./icons.js";
import { began } from "./queue.js";
import { explained, length, plural, title } from "./words.js";
import "./brush.js";

export const TOOLS = [
  { name: "variations", icon: "variations", label: "Variations", tells: "The same words and settings, other seeds." },
  { name: "remix", icon: "remix", label: "Remix", tells: "The same video in other words. The strength says how far it may go." },
  { name: "extend", icon: "extend", label: "Extend", tells: "What comes after it, or what led up to it." },
  { name: "loop", icon: "loop", label: "Loop", tells: "A way from its end back to its beginning, so that it never stops." },
  { name: "blend", icon: "blend", label: "Blend", tells: "This one, another one, and a way from the one to the other." },
  { name: "recut", icon: "scissors", label: "Re-cut", tells: "Keep the best part; let something new come before or after it." },
  { name: "animate", icon: "picture", label: "From a frame", tells: "The picture that the player shows begins a new video." },
  { name: "keyframes", icon: "key", label: "Keyframes", tells: "Pictures at times of your choice, and the way between them." },
  { name: "region", icon: "brush", label: "Region", tells: "Paint over what should change; all else stays." },
];

export const panel = (tool, video, { close, player }) => html`<wr-tool .tool=${tool} .video=${video} .close=${close} .player=${player}></wr-tool>`;

class Tool extends Element {
  static properties = { tool: { attribute: false }, video: { attribute: false }, values: { state: true }, trouble: { state: true }, busy: { state: true }, others: { state: true } };

  willUpdate(changed) {
    if (!changed.has("tool")) return;
    const whole = Number(this.video.seconds);
    this.values = { prompt: this.video.shots.length ? "" : (this.video.prompt ?? ""), strength: 0.6, seconds: this.tool === "loop" || this.tool === "blend" ? 2 : 4, count: 4, side: "after", other: new URLSearchParams(location.search).get("with"), from: 0, to: whole, before: 0, after: 0, stills: [], swapped: false };
    this.trouble = null;
    if (this.tool === "blend") this.find();
    if (this.tool === "keyframes") this.addFrame(0);
  }

  put(patch) {
    this.values = { ...this.values, ...patch };
  }

  async find() {
    const page = await get("/studio/api/library?limit=24").catch(problem);
    this.others = page?.data.filter((one) => one.id !== this.video.id) ?? [];
  }

  now() {
    return Math.round((this.player()?.at ?? 0) * 1000) / 1000;
  }

  // A picture of the moment, to be seen in the list; the server takes its own from the file.
  addFrame(at = null) {
    const start = this.now();
    const used = this.values.stills.map((one) => one.at);
    const last = used.length ? Math.max(...used) + 2 : 0;
    this.put({ stills: [...this.values.stills, { start, url: snapshot(this.player()?.element) || media.still(this.video.id), at: at ?? last }] });
  }

  addFiles(files) {
    const fresh = [...files].map((file, number) => ({ file, url: URL.createObjectURL(file), at: (this.values.stills.at(-1)?.at ?? -2) + 2 * (number + 1) }));
    this.put({ stills: [...this.values.stills, ...fresh] });
  }

  async start(event) {
    event.preventDefault();
    this.busy = true;
    this.trouble = null;
    try {
      const told = await this.ask();
      const jobs = told.data ?? [told];
      began(jobs);
      toast(jobs.length > 1 ? `${plural(jobs.length, "video")} on the way.` : "On its way.");
      this.close();
    } catch (error) {
      this.trouble = error.code === undefined ? { heading: "That did not work", text: error.message } : explained(error);
    }
    this.busy = false;
  }

  async ask() {
    const { values, video } = this;
    const own = { video: video.id };
    const common = { prompt: values.prompt.trim() };
    switch (this.tool) {
      case "variations":
        return order({ tool: "variations", given: [own], count: Number(values.count) });
      case "remix":
        return post(`/v1/videos/${video.id}/remix`, { ...common, strength: Number(values.strength) });
      case "extend":
        return order({ tool: "extend", ...common, given: [own], ...(values.side === "after" ? { seconds: Number(values.seconds) } : { before: Number(values.seconds), seconds: 0 }) });
      case "loop":
        return order({ tool: "loop", ...common, given: [own], seconds: Number(values.seconds) });
      case "blend": {
        const both = [own, { video: values.other }];
        return order({ tool: "blend", ...common, given: values.swapped ? both.reverse() : both, seconds: Number(values.seconds) });
      }
      case "recut":
        return order({ tool: "recut", ...common, given: [{ ...own, start: Number(values.from), end: Number(values.to) }], before: Number(values.before), seconds: Number(values.after) });
      case "animate":
        return order({ tool: "keyframes", ...common, given: [{ ...own, still: true, start: this.now(), at: 0 }], seconds: Number(values.seconds), size: video.size });
      case "keyframes": {
        const files = {};
        const given = values.stills.map((one, number) => {
          if (!one.file) return { ...own, still: true, start: one.start, at: Number(one.at) };
          files[`f${number}`] = one.file;
          return { part: `f${number}`, still: true, at: Number(one.at) };
        });
        const last = Math.max(...values.stills.map((one) => Number(one.at)), 2);
        return order({ tool: "keyframes", ...common, given, seconds: Math.max(last, 4), size: video.size }, files);
      }
      default: {
        const brush = this.querySelector("wr-brush");
        const mask = await brush.mask();
        if (!mask) throw new Error("Paint over what should change first.");
        const span = Number(values.from) > 0 || Number(values.to) < Number(video.seconds) ? [Number(values.from), Number(values.to)] : null;
        return order({ tool: "region", ...common, given: [own], mask: "mask", ...(span ? { span } : {}) }, { mask });
      }
    }
  }

  render() {
    const own = TOOLS.find((one) => one.name === this.tool);
    return html`<form class="card tool-panel" @submit=${this.start} aria-labelledby="tool-name">
      <div class="row apart"><div><h3 id="tool-name">${own.label}</h3><p class="small soft">${own.tells}</p></div>
        <button type="button" class="button plain round small" aria-label="Close this tool" @click=${() => this.close()}>${icon("close")}</button></div>
      ${this[`${this.tool}Fields`]()}
      ${this.trouble ? html`<div class="note ${this.trouble.gentle ? "" : "bad"}" role="alert"><h3>${this.trouble.heading}</h3><p>${this.trouble.text}</p></div>` : nothing}
      <div class="row" style="justify-content:flex-end"><button class="button first" ?disabled=${this.busy || (this.tool === "blend" && !this.values.other)}>${this.busy ? "One moment…" : "Make it"}</button></div>
    </form>`;
  }

  words(label = "In these words", needed = true) {
    return html`<label class="field"><span>${label}</span><textarea class="input" rows="2" ?required=${needed} maxlength="4000" .value=${live(this.values.prompt)} @input=${(event) => this.put({ prompt: event.target.value })}></textarea></label>`;
  }

  slide(name, label, low, high, step, told = (value) => length(value)) {
    return html`<label class="field"><span>${label}: <b class="number">${told(this.values[name])}</b></span>
      <input type="range" min=${low} max=${high} step=${step} .value=${live(String(this.values[name]))} @input=${(event) => this.put({ [name]: Number(event.target.value) })}></label>`;
  }

  variationsFields() {
    return html`<div class="field"><span class="label">How many</span><fieldset class="choice" style="justify-self:start"><legend class="hidden-text">How many</legend>${[2, 4, 8].map((count) => html`
      <label><input type="radio" name="count" .checked=${live(Number(this.values.count) === count)} @change=${() => this.put({ count })}>${count}</label>`)}</fieldset></div>`;
  }

  remixFields() {
    const far = (value) => (value < 0.35 ? "a touch" : value < 0.65 ? "freely" : value < 0.9 ? "a lot" : "nearly everything");
    return html`${this.words()}${this.slide("strength", "Strength", 0.1, 1, 0.05, (value) => `${value} (${far(value)})`)}`;
  }

  extendFields() {
    const side = (value, label) => html`<label><input type="radio" name="side" .checked=${live(this.values.side === value)} @change=${() => this.put({ side: value })}>${label}</label>`;
    return html`<fieldset class="choice" style="justify-self:start"><legend class="hidden-text">Where</legend>${side("after", "After it")}${side("before", "Before it")}</fieldset>${this.words()}${this.slide("seconds", "Add", 1, 12, 0.5)}`;
  }

  loopFields() {
    return html`${this.words("What happens on the way back", false)}${this.slide("seconds", "Add", 1, 4, 0.5)}`;
  }

  blendFields() {
    const others = this.others;
    return html`<div class="field"><span class="label">Blend with</span>${!others ? html`<div class="bone" style="height:5.5rem"></div>` : others.length ? html`<div class="pick-one" role="radiogroup" aria-label="Blend with">${others.map((one) => html`
        <label><input type="radio" name="other" .checked=${live(this.values.other === one.id)} @change=${() => this.put({ other: one.id })}><img src=${media.still(one.id)} alt=${title(one)} title=${title(one)} loading="lazy"></label>`)}</div>` : html`<p class="soft">There is no other video yet.</p>`}</div>
      <label class="check"><input type="checkbox" .checked=${this.values.swapped} @change=${(event) => this.put({ swapped: event.target.checked })}> The other one comes first</label>
      ${this.words("What happens in between", false)}${this.slide("seconds", "In between", 1, 6, 0.5)}`;
  }

  span(low, high) {
    const whole = Number(this.video.seconds);
    const seek = (patch) => { this.put(patch); this.player()?.seek(Object.values(patch)[0]); };
    return html`<div class="pair">
      <label class="field"><span>${low}: <b class="number">${this.values.from.toFixed(2)} s</b></span><input type="range" min="0" max=${whole} step="0.05" .value=${live(String(this.values.from))} @input=${(event) => seek({ from: Math.min(Number(event.target.value), this.values.to - 0.25) })}></label>
      <label class="field"><span>${high}: <b class="number">${this.values.to.toFixed(2)} s</b></span><input type="range" min="0" max=${whole} step="0.05" .value=${live(String(this.values.to))} @input=${(event) => seek({ to: Math.max(Number(event.target.value), this.values.from + 0.25) })}></label></div>`;
  }

  recutFields() {
    return html`${this.span("Keep from", "to")}<div class="pair">${this.slide("before", "New before it", 0, 8, 0.5, (value) => length(value) || "nothing")}${this.slide("after", "New after it", 0, 8, 0.5, (value) => length(value) || "nothing")}</div>${this.words("What the new parts show", false)}`;
  }

  animateFields() {
    return html`<p class="note small">Stop the player at the picture you like (arrow keys step by frames).</p>${this.words()}${this.slide("seconds", "Length", 1, 12, 0.5)}`;
  }

  keyframesFields() {
    const put = (one, patch) => this.put({ stills: this.values.stills.map((other) => (other === one ? { ...one, ...patch } : other)) });
    const off = (one) => this.put({ stills: this.values.stills.filter((other) => other !== one) });
    return html`<ul class="attached" style="padding:0" @dragover=${(event) => event.preventDefault()} @drop=${(event) => { event.preventDefault(); this.addFiles(event.dataTransfer.files); }}>${this.values.stills.map((one, number) => html`<li class="attachment">
        <img src=${one.url} alt="Keyframe ${number + 1}"><label class="row small" style="gap:.4rem">at <input class="input number" style="width:4.5rem" type="number" min="0" max="60" step="0.5" .value=${live(String(one.at))} @change=${(event) => put(one, { at: Math.max(0, Number(event.target.value) || 0) })}> s</label>
        <button type="button" class="button plain round small" aria-label="Take keyframe ${number + 1} away" @click=${() => off(one)}>${icon("close")}</button></li>`)}</ul>
      <div class="row"><button type="button" class="button small" @click=${() => this.addFrame()}>${icon("plus")} The frame that is shown</button>
        <button type="button" class="button small" @click=${() => this.querySelector("input[type=file]").click()}>${icon("picture")} A picture</button>
        <input type="file" hidden multiple accept="image/*" @change=${(event) => this.addFiles(event.target.files)}></div>${this.words()}`;
  }

  regionFields() {
    return html`<wr-brush .video=${this.video} .player=${this.player}></wr-brush>${this.words("What should be there instead")}<details class="small"><summary>Only for a while</summary>${this.span("From", "to")}</details>`;
  }
}

function snapshot(element) {
  if (!element?.videoWidth) return "";
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [element.videoWidth, element.videoHeight];
  canvas.getContext("2d").drawImage(element, 0, 0);
  return canvas.toDataURL("image/jpeg", 0.85);
}

customElements.define("wr-tool", Tool);
