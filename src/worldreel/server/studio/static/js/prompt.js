// The prompt box: words first, everything else behind "More". What is in the box is what is made.

import { html, live, nothing, styleMap } from "../vendor/lit.js";
import { Element, app, problem, toast } from "./base.js";
import { get, post } from "./api.js";
import { change, draft, model, replaced, reset, shape, shapes, size, undo, used } from "./draft.js";
import { icon } from "./icons.js";
import { give, make } from "./making.js";
import { queue } from "./queue.js";
import { bytes, length, plural, wait } from "./words.js";

const LENGTHS = [2, 4, 8];

class Prompt extends Element {
  static properties = { trouble: { state: true }, busy: { state: true }, told: { state: true } };

  constructor() {
    super();
    draft.watch(this);
    app.watch(this);
    queue.watch(this);
    this.asks = 0;
  }

  connectedCallback() {
    super.connectedCallback();
    this.run = (event) => this.start(event.detail?.first);
    addEventListener("run", this.run);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("run", this.run);
  }

  updated() {
    if (this.early && app.about) {
      const { first } = this.early;
      this.early = null;
      this.start(first);
    }
    const key = `${draft.seconds}|${draft.steps}|${draft.model}|${draft.count}|${app.about?.version}`;
    if (key !== this.key && app.about) {
      this.key = key;
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.estimate(), 250);
    }
  }

  async estimate() {
    const asked = new URLSearchParams({ seconds: draft.seconds, model: draft.model ?? "" });
    if (draft.steps) asked.set("steps", draft.steps);
    this.told = await get(`/studio/api/estimate?${asked}`).catch(() => null);
  }

  focusWords() {
    this.querySelector("textarea").focus();
  }

  async start(first = false) {
    if (this.busy) return;
    if (!app.about) {
      this.early = { first }; // asked before the server has told what it is
      return;
    }
    this.busy = true;
    this.trouble = await make({ first }).catch((error) => void problem(error));
    this.busy = false;
    if (this.trouble) this.focusWords();
    else if (first) toast("It goes first.");
    this.estimate();
  }

  async detail() {
    const asked = { prompt: draft.prompt, again: this.asks };
    if (this.worded === draft.prompt) {
      this.asks += 1;
      asked.prompt = this.before;
      asked.again = this.asks;
    } else {
      this.asks = 0;
      asked.again = 0;
      this.before = draft.prompt;
    }
    const told = await post("/studio/api/prompt", asked).catch(problem);
    if (!told?.prompt) return;
    if (!told.added.length) return void toast("Nothing was left open: place, light and camera are all there.");
    replaced({ prompt: told.prompt });
    this.worded = told.prompt;
  }

  render() {
    return html`
      <form class="prompt" @submit=${(event) => { event.preventDefault(); this.start(); }}>
        <label class="hidden-text" for="words">What should happen in the video</label>
        <textarea id="words" rows="3" placeholder="A penguin waddles across the snow at night"
          aria-describedby="told" aria-invalid=${this.trouble ? "true" : "false"} maxlength="32000" .value=${live(draft.prompt)}
          @input=${(event) => { this.trouble = null; change({ prompt: event.target.value }); }}></textarea>
        ${this.attached()}
        <div id="told" class="prompt-told small" aria-live="polite">${this.note()}</div>
        <div class="prompt-row">
          <button type="button" class="button plain round" title="Give a picture or a clip (or drop it, or paste it)"
            aria-label="Give a picture or a clip" @click=${() => this.querySelector("input[type=file]").click()}>${icon("picture")}</button>
          <input type="file" hidden multiple accept="image/*,video/*" @change=${(event) => { give(event.target.files); event.target.value = ""; }}>
          <button type="button" class="button plain" ?disabled=${!draft.prompt.trim()} @click=${this.detail}
            title="Adds what you left open: place, light, camera. You can change or undo it.">${icon("wand")} Add detail</button>
          ${draft.past.length ? html`<button type="button" class="button plain" @click=${undo}>${icon("undo")} Undo</button>` : nothing}
          <button type="button" class="button plain" aria-expanded=${draft.more ? "true" : "false"} aria-controls="more"
            @click=${() => draft.set({ more: !draft.more })}>${icon("sliders")} More</button>
          <div class="row push">
            <span class="small soft number only-wide" title="By what the last videos took here">${this.takes()}</span>
            <button class="button first" ?disabled=${this.busy}>${this.busy ? "One moment…" : "Make it"}</button>
          </div>
        </div>
        ${draft.more ? this.more() : nothing}
      </form>`;
  }

  note() {
    if (this.trouble) return html`<div class="note ${this.trouble.gentle ? "" : "bad"}" role="alert"><h2>${this.trouble.heading}</h2><p>${this.trouble.text}</p></div>`;
    if (draft.style && draft.prompt.trim()) return html`<span class="soft">Used as: “${used()}”</span>`;
    return nothing;
  }

  takes() {
    const took = this.told?.seconds;
    if (!took) return "";
    const before = queue.waiting + queue.jobs.filter((job) => job.status === "in_progress").length;
    return `about ${wait(took * draft.count)}${before ? ` · ${before} before it` : ""}`;
  }

  attached() {
    if (!draft.attached.length) return nothing;
    const off = (one) => replaced({ attached: draft.attached.filter((other) => other !== one) });
    const put = (one, patch) => change({ attached: draft.attached.map((other) => (other === one ? { ...one, ...patch } : other)) });
    return html`<ul class="attached" aria-label="Given">${draft.attached.map((one) => html`
      <li class="attachment">
        ${one.kind === "clip" ? html`<video src=${one.url} muted loop playsinline preload="metadata" aria-hidden="true"></video>` : html`<img src=${one.url} alt="">`}
        ${one.kind === "clip"
          ? html`<select class="input" aria-label="What to do with ${one.name}" .value=${one.act} @change=${(event) => put(one, { act: event.target.value })}>
              <option value="extend">Go on where it ends</option><option value="edit">Make it anew in these words</option><option value="loop">Make it loop</option>
            </select>`
          : html`<label class="row small" style="gap:.4rem">at <input class="input number" style="width:4.5rem" type="number" min="0" max="120" step="0.5"
              .value=${live(String(one.at))} @change=${(event) => put(one, { at: Math.max(0, Number(event.target.value) || 0) })}> s</label>`}
        <button type="button" class="button plain round small" aria-label="Take ${one.name} away" @click=${() => off(one)}>${icon("close")}</button>
      </li>`)}</ul>`;
  }

  more() {
    const own = model() ?? {};
    const number = (name, label, low, high, step, hint) => html`<label class="field"><span>${label}</span>
      <input class="input number" type="number" min=${low} max=${high} step=${step} placeholder=${hint} .value=${live(draft[name] ?? "")}
        @change=${(event) => change({ [name]: event.target.value === "" ? null : Math.min(high, Math.max(low, Number(event.target.value))) })}></label>`;
    const [width, height] = size().split("x");
    return html`<div id="more" class="more">
      <div class="field whole"><div class="row apart">${this.shapes()}${this.lengths()}</div></div>
      <label class="field"><span>Size</span><select class="input" .value=${String(draft.scale)} @change=${(event) => change({ scale: Number(event.target.value) })}>
        ${[1, 2, 4].map((scale) => html`<option value=${scale} ?selected=${draft.scale === scale}>${shape().width * scale} × ${shape().height * scale}${scale > 1 ? " (smoother, not richer)" : ""}</option>`)}
      </select></label>
      <div class="field"><span class="label" id="seed-label">Seed</span><div class="row" style="flex-wrap:nowrap;gap:.35rem">
        <input class="input number" type="number" min="0" step="1" placeholder="another each time" aria-labelledby="seed-label" .value=${live(draft.seed ?? "")}
          @change=${(event) => change({ seed: event.target.value === "" ? null : Math.max(0, Math.floor(Number(event.target.value))) })}>
        <button type="button" class="button plain round small" title="Draw a seed" aria-label="Draw a seed"
          @click=${() => change({ seed: Math.floor(Math.random() * 2 ** 31) })}>${icon("dice")}</button></div></div>
      ${number("count", "How many", 1, 8, 1, "1")}
      <label class="field"><span>Style${own.id === "embedded" ? " (this model saw plain film only)" : ""}</span><select class="input" .value=${draft.style} @change=${(event) => change({ style: event.target.value })}>
        <option value="">Plain</option>${(app.about?.styles ?? []).map((style) => html`<option ?selected=${draft.style === style}>${style}</option>`)}</select></label>
      ${number("steps", "Steps", 1, 200, 1, String(own.steps ?? 20))}
      ${number("guidance", "Guidance", 0, 20, 0.5, String(own.guidance ?? 4))}
      ${(app.about?.models.length ?? 0) > 1
        ? html`<label class="field"><span>Model</span><select class="input" @change=${(event) => change({ model: event.target.value, shape: null })}>
            ${app.about.models.map((one) => html`<option ?selected=${one.id === draft.model}>${one.id}</option>`)}</select></label>` : nothing}
      <label class="field whole"><span>Lead away from</span><input class="input" maxlength="4000" placeholder="what the video should not show"
        .value=${live(draft.negative)} @input=${(event) => change({ negative: event.target.value })}></label>
      <div class="row apart whole small soft"><span>${this.honest(width, height)}</span>
        <button type="button" class="button plain small" @click=${reset}>Back to the defaults</button></div>
    </div>`;
  }

  honest(width, height) {
    const told = this.told;
    const parts = [`${draft.count > 1 ? `${plural(draft.count, "video")} of ` : ""}${length(draft.seconds)} at ${width} × ${height}`];
    if (told?.seconds) parts.push(`about ${wait(told.seconds * draft.count)}, by ${plural(told.from, "video")} made here`);
    else parts.push("nothing was made here yet, so nobody knows how long it takes");
    if (told?.memory) parts.push(`${bytes(told.memory)} of memory at most so far`);
    return parts.join(" · ");
  }

  shapes() {
    const drawn = ({ width, height }) => styleMap({ width: `${Math.round((14 * width) / Math.max(width, height))}px`, height: `${Math.round((14 * height) / Math.max(width, height))}px` });
    return html`<fieldset class="choice"><legend class="hidden-text">Shape</legend>${shapes().map((one) => html`
      <label><input type="radio" name="shape" .checked=${live(shape().name === one.name)} @change=${() => change({ shape: one.name })}>
        <span class="shape" style=${drawn(one)}></span>${one.label}</label>`)}</fieldset>`;
  }

  lengths() {
    return html`<div class="row" style="gap:var(--gap-2)"><fieldset class="choice"><legend class="hidden-text">Length</legend>${LENGTHS.map((seconds) => html`
      <label><input type="radio" name="length" .checked=${live(Number(draft.seconds) === seconds)} @change=${() => change({ seconds })}>${seconds} s</label>`)}</fieldset>
      <label class="row small soft" style="gap:.35rem;flex-wrap:nowrap"><span class="hidden-text">Seconds</span><input class="input number" style="width:4.75rem;min-height:2.1rem;padding:.15rem .6rem" type="number" min="1" max=${app.about?.longest ?? 120} step="0.5"
        .value=${live(String(draft.seconds))} @change=${(event) => change({ seconds: Math.min(app.about?.longest ?? 120, Math.max(1, Number(event.target.value) || 4)) })}> s</label></div>`;
  }
}

customElements.define("wr-prompt", Prompt);
