// The operator's desk: what people reported, what was refused, and whether that was right.

import { html, nothing } from "../vendor/lit.js";
import { Element, problem, toast } from "./base.js";
import { get, post, remove } from "./api.js";
import { icon } from "./icons.js";
import { ago, title, wait } from "./words.js";

const REASONS = { harmful: "Cruel, sexual or hateful", person: "A real person", brand: "Somebody’s character or brand", wrong: "Not what was asked for", other: "Something else" };
const CATEGORIES = { violence: "Violence", sexual: "Sexual", hate: "Hate", figures: "A real person", characters: "A character or brand", news: "Deceiving news", minors: "Minors" };

class Desk extends Element {
  static properties = { told: { state: true }, tab: { state: true }, all: { state: true } };

  constructor() {
    super();
    this.tab = "reports";
  }

  connectedCallback() {
    super.connectedCallback();
    document.title = "Desk · worldreel";
    this.timer = setInterval(() => document.hidden || this.load(), 15000);
    this.load();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  async load() {
    this.told = (await get("/studio/api/desk").catch(problem)) ?? this.told;
  }

  async judge(kind, row, verdict) {
    const ask = verdict ? post(`/studio/api/desk/${kind}/${row.id}`, { verdict }) : remove(`/studio/api/desk/${kind}/${row.id}`);
    await ask.catch(problem);
    if (verdict && verdict !== "open") toast("Noted.", { action: { label: "Undo", run: () => this.judge(kind, row, "open") } });
    this.load();
  }

  render() {
    const told = this.told;
    if (!told) return html`<div class="page-head"><h1>Desk</h1></div><div class="bone" style="height:6rem"></div>`;
    const open = (rows) => rows.filter((row) => row.verdict === "open").length;
    const tabs = [["reports", "Reports", open(told.reports)], ["refusals", "Refused prompts", open(told.refusals)], ["frames", "Held-back videos", told.frames.length]];
    return html`<div class="page-head"><div><h1>Desk</h1><p class="soft">What people reported and what was refused. Your judgement is what the checks can learn from.</p></div>
        <a class="button" href="/studio/api/desk/lines" download>${icon("download")} Judged lines</a></div>
      <dl class="counts">${[[told.counts.in_progress, "being made"], [told.counts.queued, "waiting"], [told.counts.today, "asked for today"], [told.counts.failed, "did not work"], [told.workers, told.workers === 1 ? "worker" : "workers"], [told.pace ? wait(told.pace) : "–", "a video takes"]].map(([value, label]) => html`
        <div class="card"><dd class="number">${value}</dd><dt class="small soft">${label}</dt></div>`)}</dl>
      <div class="row apart" style="margin:var(--gap-5) 0 var(--gap-4)"><fieldset class="choice"><legend class="hidden-text">Show</legend>${tabs.map(([name, label, count]) => html`
        <label><input type="radio" name="tab" .checked=${this.tab === name} @change=${() => { this.tab = name; }}>${label}${count ? html` <b class="number">${count}</b>` : nothing}</label>`)}</fieldset>
        ${this.tab === "frames" ? nothing : html`<label class="check small"><input type="checkbox" .checked=${this.all} @change=${(event) => { this.all = event.target.checked; }}> Judged ones too</label>`}</div>
      ${this.rows(told)}`;
  }

  rows(told) {
    const rows = told[this.tab].filter((row) => this.tab === "frames" || this.all || row.verdict === "open");
    if (!rows.length) return html`<div class="empty">${icon("shield")}<h2>All quiet</h2><p>${this.tab === "reports" ? "Nobody has reported anything." : this.tab === "refusals" ? "No refused prompt waits for your judgement." : "No video was held back."}</p></div>`;
    return html`<ul class="stack desk-rows">${rows.map((row) => this[this.tab](row))}</ul>`;
  }

  verdict(kind, row, right, wrong) {
    if (row.verdict !== "open") {
      return html`<div class="row"><span class="small soft">${row.verdict === "agreed" ? right : row.verdict === "disagreed" ? wrong : "Done"}</span>
        <button class="button plain small" @click=${() => this.judge(kind, row, "open")}>Open again</button><button class="button plain small bad" @click=${() => this.judge(kind, row, null)}>Forget it</button></div>`;
    }
    return html`<div class="row"><button class="button small" @click=${() => this.judge(kind, row, "agreed")}>${right}</button><button class="button small" @click=${() => this.judge(kind, row, "disagreed")}>${wrong}</button></div>`;
  }

  reports(row) {
    return html`<li class="card desk-row">${row.there ? html`<video src="/studio/api/desk/videos/${row.video}" muted loop playsinline controls preload="metadata" aria-label="The reported video"></video>` : html`<div class="bone still">gone</div>`}
      <div class="stack" style="gap:var(--gap-2)"><h3>${REASONS[row.reason]}</h3>${row.note ? html`<p>${row.note}</p>` : nothing}<p class="small soft clamp">“${row.prompt}”</p><p class="small soft">${ago(row.created)}</p>${this.verdict("reports", row, "It is wrong", "It is fine")}</div></li>`;
  }

  refusals(row) {
    return html`<li class="card desk-row"><div class="stack" style="gap:var(--gap-2)"><h3>${CATEGORIES[row.category] ?? row.category}</h3><p class="quote">${row.prompt}</p>
      <p class="small soft">${row.words.length ? html`decided by ${row.words.map((word) => html`<kbd>${word}</kbd> `)}· ` : nothing}${ago(row.created)}</p>${this.verdict("refusals", row, "Rightly refused", "Should have passed")}</div></li>`;
  }

  frames(row) {
    return html`<li class="card desk-row"><div class="stack" style="gap:var(--gap-2)"><h3>Held back after it was made</h3><p class="quote">${title(row)}</p><p class="small soft">${row.error?.message} ${ago(row.created_at)}</p></div></li>`;
  }
}

customElements.define("wr-desk", Desk);
