// Shots on a timeline: what each shows, how long it lasts, what of it is given. Width is time.

import { html, live, nothing, repeat, styleMap } from "../vendor/lit.js";
import { Element, app, go, problem, store, stored, toast } from "./base.js";
import { get, media, order, post } from "./api.js";
import { shapes } from "./draft.js";
import { icon } from "./icons.js";
import { began } from "./queue.js";
import { explained, length, title } from "./words.js";

const REM = 2.1; // of a card's width, for a second
const EXAMPLE = {
  cast: [{ name: "car", about: "a red car" }, { name: "dog", about: "a brown dog" }],
  shots: [
    { prompt: "@car drives to the right along a city street", seconds: 3 },
    { prompt: "@car drives along a beach at sunset, @dog runs behind it", seconds: 3 },
    { prompt: "@dog sits on a beach at night", seconds: 2.5 },
  ],
};

let count = Date.now();
const shot = (given = {}) => ({ id: ++count, prompt: "", seconds: 3, given: [], ...given });
const fresh = () => ({ shots: [shot()], cast: [], style: "", shape: null, scale: 1, seed: null });

// The board of a finished storyboard, for the next visit to this page; what was given stays behind.
export function keep(video) {
  const [width, height] = video.size.split("x").map(Number);
  const shape = width === height ? "square" : width > height ? "wide" : "tall";
  const shots = video.shots.map(([prompt, seconds]) => ({ prompt, seconds, given: [] }));
  store("board", { ...fresh(), shots, shape, seed: video.seed });
}

class Storyboard extends Element {
  static properties = { board: { state: true }, trouble: { state: true }, busy: { state: true }, picking: { state: true }, library: { state: true } };

  constructor() {
    super();
    app.watch(this);
    const kept = stored("board", null);
    this.board = kept ? { ...fresh(), ...kept, shots: kept.shots.map((one) => shot({ ...one, given: one.given.filter((given) => given.video) })) } : fresh();
  }

  connectedCallback() {
    super.connectedCallback();
    document.title = "Storyboard · worldreel";
    this.run = () => this.start();
    addEventListener("run", this.run);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("run", this.run);
  }

  put(patch) {
    this.board = { ...this.board, ...patch };
    this.trouble = null;
    const plain = { ...this.board, shots: this.board.shots.map(({ id, ...one }) => ({ ...one, given: one.given.filter((given) => given.video) })) };
    store("board", plain);
  }

  shot(id, patch) {
    this.put({ shots: this.board.shots.map((one) => (one.id === id ? { ...one, ...patch } : one)) });
  }

  move(id, by) {
    const shots = [...this.board.shots];
    const from = shots.findIndex((one) => one.id === id);
    const to = Math.max(0, Math.min(shots.length - 1, from + by));
    shots.splice(to, 0, ...shots.splice(from, 1));
    this.put({ shots });
    this.updateComplete.then(() => this.querySelector(`[data-shot="${id}"] textarea`)?.focus());
  }

  drop(id) {
    const before = this.board;
    this.put({ shots: before.shots.length > 1 ? before.shots.filter((one) => one.id !== id) : [shot()] });
    toast("The shot is gone.", { action: { label: "Undo", run: () => this.put(before) } });
  }

  clear(board) {
    const before = this.board;
    this.put(board);
    if (before.shots.some((one) => one.prompt)) toast("The old board was put away.", { action: { label: "Undo", run: () => this.put(before) } });
  }

  get seconds() {
    return this.board.shots.reduce((sum, one) => sum + one.seconds, 0);
  }

  async give(id, files) {
    for (const file of [...files].slice(0, 4)) {
      const form = new FormData();
      form.append("file", file, file.name);
      const told = await post("/studio/api/look", form).catch((error) => void (error.code === "invalid_file" ? toast(`${file.name} cannot be opened: it is damaged, or neither a picture nor a video.`) : problem(error)));
      if (told) this.add(id, { file, url: URL.createObjectURL(file), name: file.name, still: !told.moves, length: told.seconds });
    }
  }

  add(id, given) {
    const own = this.board.shots.find((one) => one.id === id);
    const at = own.given.length ? Math.min(own.seconds - 0.25, Math.max(...own.given.map((one) => one.at)) + 1) : 0;
    this.shot(id, { given: [...own.given, { at, ...given }] });
  }

  async pick(id) {
    this.picking = id;
    this.library = (await get("/studio/api/library?limit=36").catch(problem))?.data ?? [];
  }

  async start() {
    if (this.busy) return;
    this.busy = true;
    this.trouble = null;
    const files = {};
    const given = (one, own) => {
      const found = { at: Number(one.at), still: Boolean(one.still) };
      if (one.video) found.video = one.video;
      else {
        found.part = `f${Object.keys(files).length}`;
        files[found.part] = one.file;
      }
      if (!one.still && one.length > own.seconds - one.at) found.end = Math.max(0.25, own.seconds - one.at);
      return found;
    };
    const { shots, cast, style, seed } = this.board;
    const shape = shapes().find((one) => one.name === this.board.shape) ?? shapes()[0];
    try {
      const told = await order({
        tool: "storyboard", style, ...(seed === null ? {} : { seed }),
        size: `${shape.width * this.board.scale}x${shape.height * this.board.scale}`,
        cast: Object.fromEntries(cast.filter((one) => one.name.trim()).map((one) => [one.name.trim(), one.about.trim()])),
        shots: shots.map((one) => ({ prompt: one.prompt.trim() || " ", seconds: one.seconds, given: one.given.map((item) => given(item, one)) })),
      }, files);
      began(told.data);
      toast("Your storyboard is on its way.", { action: { label: "Watch it", run: () => go("/") } });
    } catch (error) {
      this.trouble = error.code === undefined ? { heading: "That did not work", text: error.message } : explained(error);
    }
    this.busy = false;
  }

  render() {
    const { shots, cast } = this.board;
    let begins = 0;
    const bare = shots.length === 1 && !shots[0].prompt && !shots[0].given.length && !cast.length;
    return html`
      <div class="page-head"><div><h1>Storyboard</h1><p class="soft">One video out of several shots.<span class="only-wide"> The wider a card, the longer its shot.</span></p></div>
        <div class="row">${bare ? html`<button class="button" @click=${() => this.clear({ ...fresh(), ...EXAMPLE, shots: EXAMPLE.shots.map(shot) })}>Begin with an example</button>` : html`<button class="button plain" @click=${() => this.clear(fresh())}>New board</button>`}
          <button class="button first" ?disabled=${this.busy || shots.some((one) => !one.prompt.trim())} title="Ctrl+Enter" @click=${this.start}>${this.busy ? "One moment…" : `Make ${length(this.seconds)}`}</button></div></div>
      ${this.trouble ? html`<div class="note ${this.trouble.gentle ? "" : "bad"}" role="alert" style="margin-bottom:var(--gap-4)"><h2>${this.trouble.heading}</h2><p>${this.trouble.text}</p></div>` : nothing}
      <ol class="board" aria-label="Shots">${repeat(shots, (one) => one.id, (one, number) => {
        const card = this.card(one, number, begins);
        begins += one.seconds;
        return card;
      })}<li class="board-add"><button class="button" @click=${() => this.put({ shots: [...shots, shot()] })}>${icon("plus")} Add a shot</button></li></ol>
      <div class="board-below">${this.cast()}${this.look()}</div>
      ${this.picking ? this.picker() : nothing}`;
  }

  card(one, number, begins) {
    const { cast, shots } = this.board;
    const put = (given, patch) => this.shot(one.id, { given: one.given.map((other) => (other === given ? { ...given, ...patch } : other)) });
    return html`<li class="shot card" data-shot=${one.id} style=${styleMap({ "--width": `${9.5 + one.seconds * REM}rem` })}
        @dragover=${(event) => event.preventDefault()} @drop=${(event) => { event.preventDefault(); app.set({ dragging: false }); this.give(one.id, event.dataTransfer.files); }}>
      <div class="shot-head"><span class="number"><b>${number + 1}</b> <span class="soft small">at ${begins.toFixed(1)} s</span></span>
        <span class="row" style="gap:0;flex-wrap:nowrap">
          <button class="button plain round small" aria-label="Move shot ${number + 1} earlier" ?disabled=${number === 0} @click=${() => this.move(one.id, -1)}>${icon("left")}</button>
          <button class="button plain round small" aria-label="Move shot ${number + 1} later" ?disabled=${number === shots.length - 1} @click=${() => this.move(one.id, 1)}>${icon("right")}</button>
          <button class="button plain round small" aria-label="Remove shot ${number + 1}" @click=${() => this.drop(one.id)}>${icon("close")}</button></span></div>
      <textarea class="input" rows="4" maxlength="4000" aria-label="What shot ${number + 1} shows" placeholder=${number ? "And then?" : "A red car drives along a beach"} .value=${live(one.prompt)} @input=${(event) => this.shot(one.id, { prompt: event.target.value })}></textarea>
      ${cast.some((member) => member.name.trim()) ? html`<div class="row" style="gap:.3rem">${cast.filter((member) => member.name.trim()).map((member) => html`<button class="example" title=${member.about} @click=${() => this.shot(one.id, { prompt: `${one.prompt}${one.prompt && !/\s$/.test(one.prompt) ? " " : ""}@${member.name.trim()} ` })}>@${member.name.trim()}</button>`)}</div>` : nothing}
      ${one.given.length ? html`<ul class="shot-given">${one.given.map((given, place) => html`<li class="attachment small">
          ${given.still || given.video ? html`<img src=${given.video ? media.still(given.video) : given.url} alt="">` : html`<video src=${given.url} muted preload="metadata" aria-hidden="true"></video>`}
          <label class="row" style="gap:.3rem;flex-wrap:nowrap">at <input class="input number" style="width:4rem" type="number" min="0" max=${one.seconds} step="0.25" .value=${live(String(given.at))} @change=${(event) => put(given, { at: Math.max(0, Math.min(one.seconds - 0.25, Number(event.target.value) || 0)) })}>s</label>
          <button class="button plain round small" aria-label="Take given thing ${place + 1} out of shot ${number + 1}" @click=${() => this.shot(one.id, { given: one.given.filter((other) => other !== given) })}>${icon("close")}</button></li>`)}</ul>` : nothing}
      <div class="row apart shot-foot"><span class="row" style="gap:0"><button class="button plain round small" title="Give a picture or a clip" aria-label="Give shot ${number + 1} a picture or a clip" @click=${(event) => event.currentTarget.nextElementSibling.click()}>${icon("picture")}</button>
          <input type="file" hidden multiple accept="image/*,video/*" @change=${(event) => { this.give(one.id, event.target.files); event.target.value = ""; }}>
          <button class="button plain round small" title="Something out of the library" aria-label="Give shot ${number + 1} something out of the library" @click=${() => this.pick(one.id)}>${icon("library")}</button></span>
        <label class="row small soft" style="gap:.3rem;flex-wrap:nowrap"><span class="hidden-text">Seconds of shot ${number + 1}</span><input class="input number" style="width:4.25rem;min-height:2rem;padding:.15rem .5rem" type="number" min="0.5" max="60" step="0.25" .value=${live(String(one.seconds))} @change=${(event) => this.shot(one.id, { seconds: within(Number(event.target.value)) })}> s</label></div>
      <span class="grip" role="slider" tabindex="0" aria-label="Length of shot ${number + 1}" aria-valuemin="0.5" aria-valuemax="60" aria-valuenow=${one.seconds} aria-valuetext="${one.seconds} seconds"
        @keydown=${(event) => this.stretch(event, one)} @pointerdown=${(event) => this.grab(event, one)}></span></li>`;
  }

  stretch(event, one) {
    const by = { ArrowRight: 0.25, ArrowUp: 0.25, ArrowLeft: -0.25, ArrowDown: -0.25, PageUp: 2, PageDown: -2 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    this.shot(one.id, { seconds: within(one.seconds + by) });
  }

  grab(event, one) {
    event.preventDefault();
    const grip = event.currentTarget;
    grip.setPointerCapture(event.pointerId);
    const [from, first] = [event.clientX, one.seconds];
    const unit = REM * parseFloat(getComputedStyle(document.documentElement).fontSize);
    grip.onpointermove = (moved) => this.shot(one.id, { seconds: within(first + (moved.clientX - from) / unit) });
    grip.onpointerup = () => { grip.onpointermove = null; };
  }

  cast() {
    const { cast } = this.board;
    const put = (member, patch) => this.put({ cast: cast.map((other) => (other === member ? { ...member, ...patch } : other)) });
    return html`<section class="stack" aria-labelledby="cast"><div><h2 id="cast">Cast</h2><p class="small soft">Who stays the same. Write <kbd>@name</kbd> in a shot.</p></div>
      ${cast.map((member, number) => html`<div class="cast-row"><input class="input" aria-label="Name of member ${number + 1}" placeholder="name" maxlength="40" .value=${live(member.name)} @input=${(event) => put(member, { name: event.target.value.replace(/[^\w]/g, "") })}>
        <input class="input" aria-label="What member ${number + 1} looks like" placeholder="a red car" maxlength="400" .value=${live(member.about)} @input=${(event) => put(member, { about: event.target.value })}>
        <button class="button plain round small" aria-label="Remove member ${number + 1}" @click=${() => this.put({ cast: cast.filter((other) => other !== member) })}>${icon("close")}</button></div>`)}
      <button class="button small" style="justify-self:start" @click=${() => this.put({ cast: [...cast, { name: "", about: "" }] })}>${icon("person")} Add somebody</button></section>`;
  }

  look() {
    const { style, scale, seed } = this.board;
    const own = shapes().find((one) => one.name === this.board.shape) ?? shapes()[0];
    return html`<section class="stack" aria-labelledby="look"><div><h2 id="look">Look</h2><p class="small soft">Holds for all shots.${app.about?.models[0]?.id === "embedded" ? " Of styles, the embedded model saw plain film only." : ""}</p></div>
      <fieldset class="choice" style="justify-self:start"><legend class="hidden-text">Shape</legend>${shapes().map((one) => html`<label><input type="radio" name="board-shape" .checked=${live(own.name === one.name)} @change=${() => this.put({ shape: one.name })}>${one.label}</label>`)}</fieldset>
      <div class="pair"><label class="field"><span>Style</span><select class="input" @change=${(event) => this.put({ style: event.target.value })}><option value="">Plain</option>${(app.about?.styles ?? []).map((one) => html`<option ?selected=${one === style}>${one}</option>`)}</select></label>
        <label class="field"><span>Size</span><select class="input" @change=${(event) => this.put({ scale: Number(event.target.value) })}>${[1, 2, 4].map((one) => html`<option value=${one} ?selected=${one === scale}>${own.width * one} × ${own.height * one}</option>`)}</select></label>
        <label class="field"><span>Seed</span><input class="input number" type="number" min="0" placeholder="another each time" .value=${live(seed ?? "")} @change=${(event) => this.put({ seed: event.target.value === "" ? null : Math.max(0, Math.floor(Number(event.target.value))) })}></label></div></section>`;
  }

  picker() {
    const close = () => { this.picking = null; };
    const choose = (video, still) => { this.add(this.picking, { video: video.id, still, name: title(video), length: Number(video.seconds) }); close(); };
    return html`<dialog class="large" aria-labelledby="pick" @close=${close}><div class="dialog-head"><h2 id="pick">Out of the library</h2><button class="button plain round small" aria-label="Close" @click=${close}>${icon("close")}</button></div>
      <div class="dialog-body">${this.library?.length ? html`<ul class="grid">${this.library.map((video) => html`<li class="stack" style="gap:.4rem"><img src=${media.still(video.id)} alt="" style="width:100%;aspect-ratio:1;object-fit:contain;border-radius:var(--round-1);background:var(--sunken)"><p class="small clamp">${title(video)}</p>
        <div class="row" style="gap:.3rem"><button class="button small" @click=${() => choose(video, false)}>Clip</button><button class="button small" @click=${() => choose(video, true)}>First frame</button></div></li>`)}</ul>` : html`<p class="soft">There is no video yet.</p>`}</div></dialog>`;
  }

  updated() {
    const dialog = this.querySelector("dialog");
    if (dialog && !dialog.open) dialog.showModal();
  }
}

const within = (seconds) => Math.max(0.5, Math.min(60, Math.round((seconds || 0.5) * 4) / 4));

customElements.define("wr-storyboard", Storyboard);
