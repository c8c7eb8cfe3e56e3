// Where people begin: the box, what is being made, what was made lately.

import { html, nothing } from "../vendor/lit.js";
import { Element, app } from "./base.js";
import { get } from "./api.js";
import { replaced } from "./draft.js";
import { queue } from "./queue.js";
import { bones, grid } from "./tile.js";
import "./jobs.js";
import "./prompt.js";

const LATELY = 12;

class Home extends Element {
  static properties = { lately: { state: true } };

  constructor() {
    super();
    app.watch(this);
    queue.watch(this);
    this.lately = null;
  }

  connectedCallback() {
    super.connectedCallback();
    document.title = "worldreel";
    this.marked = ({ detail }) => { this.lately = this.lately?.map((one) => (one.id === detail.id ? { ...one, ...detail } : one)); };
    addEventListener("marked", this.marked);
    this.load();
  }

  disconnectedCallback() {
    super.disconnectedCallback();
    removeEventListener("marked", this.marked);
  }

  async load() {
    this.lately = (await get(`/studio/api/library?limit=${LATELY}`).catch(() => ({ data: [] }))).data;
  }

  firstUpdated() {
    if (matchMedia("(pointer: fine)").matches) this.querySelector("textarea")?.focus({ preventScroll: true });
  }

  videos() {
    const known = new Set((this.lately ?? []).map((video) => video.id));
    return [...queue.fresh.filter((video) => !known.has(video.id)), ...(this.lately ?? [])];
  }

  render() {
    const videos = this.videos();
    const examples = app.about?.examples ?? [];
    const first = this.lately && !videos.length && !queue.jobs.length;
    return html`
      <section class="hero" aria-labelledby="hello">
        <h1 id="hello">What should move?</h1>
        <p class="soft">Describe it in a sentence. It is made here, on this machine.</p>
        <wr-prompt></wr-prompt>
        <div class="examples" role="group" aria-label="Examples to begin with">${examples.slice(0, first ? 8 : 4).map((text) => html`
          <button class="example" @click=${() => { replaced({ prompt: text }); this.querySelector("wr-prompt").focusWords(); }}>${text}</button>`)}</div>
      </section>
      <wr-jobs></wr-jobs>
      ${first ? nothing : html`<section class="section" aria-labelledby="lately">
        <div class="row apart"><h2 id="lately">Lately</h2>${videos.length ? html`<a href="/library">All in the library</a>` : nothing}</div>
        ${this.lately === null ? bones(6) : grid(videos)}
      </section>`}`;
  }
}

customElements.define("wr-home", Home);
