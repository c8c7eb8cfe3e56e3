// A video in a grid: a still that moves when one looks at it.

import { html, nothing, repeat } from "../vendor/lit.js";
import { Element } from "./base.js";
import { media } from "./api.js";
import { icon } from "./icons.js";
import { favourite, isDoomed } from "./queue.js";
import { length, title } from "./words.js";

class Tile extends Element {
  static properties = { video: { attribute: false }, picking: { type: Boolean }, picked: { type: Boolean }, plays: { state: true } };

  updated(changed) {
    const player = this.querySelector("video");
    if (player && changed.has("plays")) player.play().catch(() => {});
  }

  async like() {
    this.video = { ...this.video, ...(await favourite(this.video)) };
  }

  keys(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "f") this.like();
    else if (event.key === " " && event.target.matches("a")) this.plays = !this.plays;
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  render() {
    const video = this.video;
    const [still, name] = [media.still(video.id), title(video)];
    const square = video.width === video.height;
    const look = () => { this.plays = true; };
    const leave = () => { this.plays = false; };
    return html`<article class="tile ${this.picked ? "picked" : ""}" @keydown=${this.keys} @mouseenter=${look} @mouseleave=${leave} @focusin=${look} @focusout=${leave}>
      ${this.picking ? html`<label class="tile-pick"><input type="checkbox" .checked=${this.picked} aria-label="Choose “${name}”" @change=${() => this.dispatchEvent(new CustomEvent("pick", { detail: video }))}></label>` : nothing}
      <a class="tile-media" href="/video/${video.id}" tabindex="-1" aria-hidden="true">
        ${square ? nothing : html`<img class="behind" src=${still} alt="" loading="lazy">`}
        <img src=${still} alt="" loading="lazy" decoding="async">
        ${this.plays ? html`<video src=${media.video(video.id)} muted loop playsinline aria-hidden="true"></video>` : nothing}
        <span class="tile-length">${length(video.seconds)}</span>
      </a>
      <div class="tile-foot">
        <a class="tile-title clamp" href="/video/${video.id}">${name}</a>
        <button class="button plain round small heart" aria-pressed=${video.favourite ? "true" : "false"} aria-label="Favourite: “${name}”" title="Favourite (F)" @click=${this.like}>${icon("heart", video.favourite)}</button>
      </div>
    </article>`;
  }
}

customElements.define("wr-tile", Tile);

export const grid = (videos, { picking = false, picked = new Set(), pick = null } = {}) => html`<ul class="grid">${repeat(
  videos.filter((video) => !isDoomed(video.id)), (video) => video.id,
  (video) => html`<li><wr-tile .video=${video} ?picking=${picking} ?picked=${picked.has(video.id)} @pick=${(event) => pick?.(event.detail)}></wr-tile></li>`)}</ul>`;

export const bones = (count) => html`<ul class="grid" aria-hidden="true">${Array.from({ length: count }, () => html`
  <li class="tile"><div class="bone" style="aspect-ratio:1"></div><div class="bone" style="height:2.2rem;border-radius:.5rem"></div></li>`)}</ul>`;
