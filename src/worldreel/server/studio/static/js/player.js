// The player: play, step by frames, and see the pixels as they are.

import { html, live, styleMap } from "../vendor/lit.js";
import { Element, app, still, store, stored } from "./base.js";
import { media } from "./api.js";
import { icon } from "./icons.js";

class Player extends Element {
  static properties = {
    video: { attribute: false }, plays: { state: true }, at: { state: true }, whole: { state: true }, sharp: { state: true },
    quiet: { type: Boolean }, lead: { type: Boolean },
  };

  constructor() {
    super();
    Object.assign(this, { plays: false, at: 0, whole: 0, sharp: stored("sharp", false) });
  }

  connectedCallback() {
    super.connectedCallback();
    this.keys = (event) => this.pressed(event);
    if (!this.quiet) document.addEventListener("keydown", this.keys);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    document.removeEventListener("keydown", this.keys);
    cancelAnimationFrame(this.frame);
  }

  get element() {
    return this.querySelector("video");
  }

  get rate() {
    const own = app.about?.models.find((one) => one.id === this.video.made_by);
    return this.video.fps || own?.fps || 12;
  }

  toggle() {
    if (this.element.paused) this.element.play().catch(() => {});
    else this.element.pause();
  }

  step(frames) {
    this.element.pause();
    const number = Math.round(this.element.currentTime * this.rate - 0.5) + frames;
    this.seek((Math.max(0, number) + 0.5) / this.rate);
  }

  seek(seconds) {
    const last = Math.max(0, (this.element.duration || 0) - 0.5 / this.rate);
    this.element.currentTime = Math.max(0, Math.min(last, seconds));
    this.at = this.element.currentTime;
    this.dispatchEvent(new CustomEvent("seek", { detail: this.at }));
  }

  pressed(event) {
    const busy = event.target.closest?.("input, textarea, select, dialog, [role=slider]") || (event.key === " " && event.target.closest?.("button, a, summary"));
    if (busy || event.ctrlKey || event.metaKey || event.altKey || !this.element) return;
    if (event.key === " ") this.toggle();
    else if (event.key === "ArrowLeft") this.step(-1);
    else if (event.key === "ArrowRight") this.step(1);
    else return;
    event.preventDefault();
  }

  follow() {
    cancelAnimationFrame(this.frame);
    const tick = () => {
      this.at = this.element?.currentTime ?? 0;
      if (this.plays) this.frame = requestAnimationFrame(tick);
    };
    tick();
  }

  render() {
    const { width, height } = this.video;
    // A whole multiple of the video's own pixels where there is room, so that nothing is smeared.
    const show = Math.max(1, Math.floor(660 / Math.max(width, height))) * width;
    const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
    return html`<div class="player">
      <div class="stage ${this.sharp ? "sharp" : ""}">
        <img class="behind" src=${media.still(this.video.id)} alt="">
        <div class="stage-box" style=${styleMap({ "--show": `${show}px`, "--ratio": `${width} / ${height}` })}>
          <video src=${media.video(this.video.id)} poster=${media.still(this.video.id)} loop muted playsinline ?autoplay=${!still()} tabindex="-1" aria-label="The video"
            @click=${this.toggle} @play=${() => { this.plays = true; this.follow(); }} @pause=${() => { this.plays = false; }}
            @loadedmetadata=${(event) => { this.whole = event.target.duration; this.dispatchEvent(new CustomEvent("loaded")); }} @seeked=${this.follow}></video>
        </div>
      </div>
      <div class="controls">
        <button class="button plain round" aria-label=${this.plays ? "Pause" : "Play"} title="Space" @click=${this.toggle}>${icon(this.plays ? "pause" : "play", !this.plays)}</button>
        <button class="button plain round" aria-label="One frame back" title="←" @click=${() => this.step(-1)}>${icon("left")}</button>
        <button class="button plain round" aria-label="One frame on" title="→" @click=${() => this.step(1)}>${icon("right")}</button>
        <input type="range" aria-label="Position" min="0" max=${this.whole || 1} step="0.001" .value=${live(String(this.at))} aria-valuetext="${clock(this.at)} of ${clock(this.whole)}"
          @input=${(event) => { this.element.pause(); this.seek(Number(event.target.value)); }}>
        <span class="time small soft number">${clock(this.at)} / ${clock(this.whole)}</span>
        <button class="button plain round" aria-pressed=${this.sharp ? "true" : "false"} aria-label="Show the pixels as they are" title="Show the pixels as they are"
          @click=${() => { this.sharp = !this.sharp; store("sharp", this.sharp); }}>${icon("pixels")}</button>
      </div></div>`;
  }
}

customElements.define("wr-player", Player);
