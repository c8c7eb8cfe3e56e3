// Painting over the part of the picture that should change: white on black, in the video's pixels.

import { html, live, styleMap } from "../vendor/lit.js";
import { Element } from "./base.js";
import { icon } from "./icons.js";

class Brush extends Element {
  static properties = { video: { attribute: false }, player: { attribute: false }, width: { state: true }, erases: { state: true }, painted: { state: true } };

  constructor() {
    super();
    Object.assign(this, { width: 14, erases: false, painted: false, past: [] });
  }

  firstUpdated() {
    this.show();
    const player = this.player?.();
    this.redraw = () => this.show();
    player?.element?.addEventListener("seeked", this.redraw);
    player?.element?.addEventListener("timeupdate", this.redraw);
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    const element = this.player?.()?.element;
    element?.removeEventListener("seeked", this.redraw);
    element?.removeEventListener("timeupdate", this.redraw);
  }

  show() {
    const element = this.player?.()?.element;
    if (element?.readyState >= 2) this.querySelector(".under").getContext("2d").drawImage(element, 0, 0, this.video.width, this.video.height);
  }

  get paint() {
    return this.querySelector(".over").getContext("2d");
  }

  remember() {
    const canvas = this.querySelector(".over");
    this.past = [...this.past.slice(-12), this.paint.getImageData(0, 0, canvas.width, canvas.height)];
  }

  at(event) {
    const box = event.target.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * this.video.width, ((event.clientY - box.top) / box.height) * this.video.height];
  }

  down(event) {
    event.preventDefault();
    event.target.setPointerCapture(event.pointerId);
    this.player?.()?.element?.pause();
    this.remember();
    this.last = this.at(event);
    this.line(this.last);
  }

  line(to) {
    const paint = this.paint;
    paint.globalCompositeOperation = this.erases ? "destination-out" : "source-over";
    Object.assign(paint, { lineCap: "round", lineJoin: "round", strokeStyle: "#fff", lineWidth: (this.width / 100) * Math.max(this.video.width, this.video.height) });
    paint.beginPath();
    paint.moveTo(...this.last);
    paint.lineTo(to[0] + 0.01, to[1]);
    paint.stroke();
    this.last = to;
    this.painted = true;
  }

  move(event) {
    if (this.last && event.buttons) for (const one of event.getCoalescedEvents?.() ?? [event]) this.line(this.at(one));
  }

  // With the keys: a spot that arrows move and that Space or Enter paints.
  keys(event) {
    const by = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const step = Math.max(this.video.width, this.video.height) / 16;
    this.spot ??= [this.video.width / 2, this.video.height / 2];
    if (by) this.spot = [Math.min(this.video.width, Math.max(0, this.spot[0] + by[0] * step)), Math.min(this.video.height, Math.max(0, this.spot[1] + by[1] * step))];
    else if (event.key === " " || event.key === "Enter") { this.remember(); this.last = this.spot; this.line(this.spot); } else return;
    event.preventDefault();
    event.stopPropagation();
    this.requestUpdate();
  }

  back() {
    const last = this.past.pop();
    if (last) this.paint.putImageData(last, 0, 0);
    this.requestUpdate();
  }

  clear() {
    this.remember();
    this.paint.clearRect(0, 0, this.video.width, this.video.height);
    this.requestUpdate();
  }

  async mask() {
    const over = this.querySelector(".over");
    const marked = this.paint.getImageData(0, 0, over.width, over.height).data.some((value, index) => index % 4 === 3 && value > 128);
    if (!marked) return null;
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [over.width, over.height];
    const paint = canvas.getContext("2d");
    paint.fillRect(0, 0, canvas.width, canvas.height);
    paint.drawImage(over, 0, 0);
    return new Promise((done) => canvas.toBlob((blob) => done(new File([blob], "mask.png", { type: "image/png" })), "image/png"));
  }

  render() {
    const { width, height } = this.video;
    const spot = this.spot && { left: `${(this.spot[0] / width) * 100}%`, top: `${(this.spot[1] / height) * 100}%` };
    return html`<div class="brush">
      <div class="canvas" style=${styleMap({ aspectRatio: `${width} / ${height}` })}>
        <canvas class="under" width=${width} height=${height} aria-hidden="true"></canvas>
        <canvas class="over" width=${width} height=${height} tabindex="0" role="img" aria-label="Paint here: arrow keys move the brush, Space paints"
          @pointerdown=${this.down} @pointermove=${this.move} @pointerup=${() => { this.last = null; }} @keydown=${this.keys}></canvas>
        ${spot ? html`<span class="spot" style=${styleMap(spot)}></span>` : ""}
      </div>
      <div class="stack" style="gap:var(--gap-3);align-content:start">
        <label class="field"><span>Brush</span><input type="range" min="4" max="40" .value=${live(String(this.width))} @input=${(event) => { this.width = Number(event.target.value); }}></label>
        <div class="row"><button type="button" class="button small" aria-pressed=${this.erases ? "true" : "false"} @click=${() => { this.erases = !this.erases; }}>Erase</button>
          <button type="button" class="button small" ?disabled=${!this.past.length} @click=${this.back}>${icon("undo")} Undo</button>
          <button type="button" class="button small" @click=${this.clear}>Clear</button></div>
        <p class="small soft">The frame that the player shows. What you paint is made anew throughout.</p></div></div>`;
  }
}

customElements.define("wr-brush", Brush);
