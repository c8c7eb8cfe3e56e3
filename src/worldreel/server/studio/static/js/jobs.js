// Jobs as people watch them: a picture that sharpens, the step, the time left.

import { html, nothing, styleMap } from "../vendor/lit.js";
import { Element, app, go, isDark, still } from "./base.js";
import { icon } from "./icons.js";
import { cancel, putAway, queue, runNext } from "./queue.js";
import { restore } from "./draft.js";
import { keep } from "./storyboard.js";
import { explained, plural, title, wait } from "./words.js";

const SIDE = 12;
const SHOWN = 5;
const FAILED = 2;

// Noise that clears patch by patch as the job goes on: what really happens, in small.
class Noise extends Element {
  static properties = { progress: { type: Number }, seed: { type: Number } };

  constructor() {
    super();
    this.progress = 0;
    this.seed = 1;
  }

  render() {
    return html`<canvas width=${SIDE} height=${SIDE} aria-hidden="true" style="width:100%;height:100%;image-rendering:pixelated"></canvas>`;
  }

  connectedCallback() {
    super.connectedCallback();
    if (!still()) this.timer = setInterval(() => this.draw(), 160);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    clearInterval(this.timer);
  }

  updated() {
    this.draw();
  }

  draw() {
    const canvas = this.firstElementChild;
    if (!canvas || document.hidden) return;
    const paint = canvas.getContext("2d");
    const left = 1 - this.progress / 100;
    const dark = isDark();
    for (let y = 0; y < SIDE; y += 1) {
      for (let x = 0; x < SIDE; x += 1) {
        const calm = Math.sin((x * 3 + this.seed) * 0.35) + Math.cos((y * 4 + this.seed * 2) * 0.28);
        const light = (dark ? 34 : 78) + 7 * calm + left * 34 * (Math.random() - 0.5);
        const hue = 18 + 14 * Math.sin(this.seed + y * 0.25) + left * 26 * (Math.random() - 0.5);
        paint.fillStyle = `hsl(${hue} ${46 - 14 * left}% ${light}%)`;
        paint.fillRect(x, y, 1, 1);
      }
    }
  }
}

function again(job) {
  putAway(job.id);
  if (job.shots?.length) {
    keep(job);
    go("/storyboard");
  } else {
    restore(job);
    document.querySelector("wr-prompt")?.focusWords();
  }
}

class Jobs extends Element {
  static properties = { all: { state: true } };

  constructor() {
    super();
    queue.watch(this);
    app.watch(this);
  }

  render() {
    if (!queue.jobs.length && !queue.ended.length) return nothing;
    const runs = queue.jobs.filter((job) => job.status === "in_progress");
    const waits = queue.jobs.filter((job) => job.status === "queued").sort((a, b) => (a.queue_position ?? 1e9) - (b.queue_position ?? 1e9));
    return html`<section class="section" aria-labelledby="now">
      <div class="row apart"><h2 id="now">Now</h2>
        ${queue.waiting ? html`<span class="small soft">${plural(queue.waiting, "video")} waiting</span>` : nothing}</div>
      ${queue.ended.length > FAILED ? html`<div class="row"><span class="small soft">${plural(queue.ended.length, "video")} did not work.</span><button class="button plain small" @click=${() => queue.ended.map((job) => job.id).forEach(putAway)}>Put all away</button></div>` : nothing}
      ${runs.length || queue.ended.length ? html`<ul class="jobs">${runs.map((job) => this.job(job))}${queue.ended.slice(0, FAILED).map((job) => this.failed(job))}</ul>` : nothing}
      ${waits.length ? html`<ol class="card line" aria-label="Waiting">${waits.slice(0, this.all ? 200 : SHOWN).map((job) => this.waiting(job))}
        ${waits.length > SHOWN && !this.all ? html`<li><button class="button plain small" @click=${() => { this.all = true; }}>${plural(waits.length - SHOWN, "more", "more")}</button></li>` : nothing}</ol>` : nothing}
    </section>`;
  }

  waiting(job) {
    const place = job.queue_position;
    return html`<li data-job=${job.id}><span class="soft small number">${place === 1 ? "next" : (place ?? "")}</span><span class="one-line">${title(job)}</span>
      <span class="row">${place > 1 ? html`<button class="button plain round small" title="Put it before all others" aria-label="Run “${title(job)}” next" @click=${() => runNext(job)}>${icon("next")}</button>` : nothing}
        <button class="button plain round small" title="Cancel" aria-label="Cancel “${title(job)}”" @click=${() => cancel(job)}>${icon("close")}</button></span></li>`;
  }

  job(job) {
    const preview = queue.previews[job.id];
    return html`<li class="card job" data-job=${job.id}>
      <div class="job-picture">
        <wr-noise progress=${job.progress} seed=${(job.seed ?? 1) % 997} style=${styleMap({ opacity: preview ? Math.max(0, 0.7 - job.progress / 100) : 1 })}></wr-noise>
        ${preview ? html`<img src=${preview} alt="" style="z-index:-1">` : nothing}
      </div>
      <div class="job-words">
        <p class="clamp">${title(job)}</p>
        <div class="bar" role="progressbar" aria-label="Progress of “${title(job)}”" aria-valuemin="0" aria-valuemax="100" aria-valuenow=${job.progress}>
          <span style=${styleMap({ width: `${job.progress}%` })}></span></div>
        <div class="row apart job-foot">
          <span class="small soft number">${this.state(job)}</span>
          <button class="button plain small" @click=${() => cancel(job)} aria-label="Cancel “${title(job)}”">Cancel</button>
        </div>
      </div>
    </li>`;
  }

  state(job) {
    if (!job.step) return "Getting ready";
    if (job.step >= job.steps) return "Reviewing and signing";
    return `Step ${job.step} of ${job.steps}${job.eta_s == null ? "" : ` · ${wait(job.eta_s)} left`}`;
  }

  failed(job) {
    const told = explained(job.error ?? {});
    return html`<li class="card job" style="grid-template-columns:1fr">
      <div class="job-words"><h3>${told.heading}</h3><p class="small">${told.text}</p><p class="small soft clamp">“${title(job)}”</p>
        <div class="row"><button class="button small" @click=${() => again(job)}>${icon("again")} Change and try again</button>
          <button class="button plain small" @click=${() => putAway(job.id)}>Put away</button></div></div></li>`;
  }
}

customElements.define("wr-noise", Noise);
customElements.define("wr-jobs", Jobs);
