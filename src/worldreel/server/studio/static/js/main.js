// The frame: header, pages by their address, keys, dialogs, and what is dropped or pasted anywhere.

import { html, keyed, nothing } from "../vendor/lit.js";
import { Element, app, arrived, go, isDark, store, toast, untoast } from "./base.js";
import { get, post, whenLockedOut } from "./api.js";
import { icon } from "./icons.js";
import { give } from "./making.js";
import { cancelNewest, queue, recall, refresh } from "./queue.js";
import { title } from "./words.js";
import "./home.js";
import "./library.js";
import "./video.js";
import "./compare.js";
import "./storyboard.js";
import "./desk.js";

const PAGES = [
  { path: "/", name: "Create", icon: "create", view: () => html`<wr-home class="page"></wr-home>` },
  { path: "/library", name: "Library", icon: "library", view: () => html`<wr-library class="page"></wr-library>` },
  { path: "/storyboard", name: "Storyboard", icon: "board", view: () => html`<wr-storyboard class="page"></wr-storyboard>` },
  { path: "/desk", name: "Desk", icon: "desk", operator: true, view: () => html`<wr-desk class="page"></wr-desk>` },
];
const KEYS = [
  ["Ctrl Enter", "Make what is in the prompt box"],
  ["Ctrl Shift Enter", "Make it before all that waits"],
  ["Esc", "Close what is open, or cancel the newest job"],
  ["/", "To the prompt box, or to the search"],
  ["Space", "Play or pause"],
  ["← →", "One frame back or on"],
  ["F", "Favourite"],
  ["?", "This list"],
];

class App extends Element {
  constructor() {
    super();
    app.watch(this);
    queue.watch(this);
    whenLockedOut(() => app.locked || app.set({ locked: true }));
  }

  connectedCallback() {
    super.connectedCallback();
    addEventListener("popstate", arrived);
    addEventListener("scroll", () => this.querySelector(".top")?.classList.toggle("lifted", scrollY > 4), { passive: true });
    document.addEventListener("click", (event) => this.clicked(event));
    document.addEventListener("keydown", (event) => this.pressed(event));
    document.addEventListener("paste", (event) => this.given(event, event.clipboardData));
    for (const kind of ["dragenter", "dragover"]) document.addEventListener(kind, (event) => this.hover(event));
    document.addEventListener("dragleave", (event) => event.relatedTarget || app.set({ dragging: false }));
    document.addEventListener("drop", (event) => { app.set({ dragging: false }); this.given(event, event.dataTransfer); });
    addEventListener("finished", ({ detail }) => this.finished(detail));
    this.begin();
  }

  async begin() {
    try {
      app.set({ about: await get("/studio/api/about"), locked: false });
    } catch (error) {
      if (error.status !== 401) toast(error.message, { seconds: 20, action: { label: "Try again", run: () => this.begin() } });
      return;
    }
    await recall();
    refresh();
  }

  finished(video) {
    if (location.pathname !== "/") toast(`Ready: “${title(video).slice(0, 50)}”.`, { action: { label: "Watch", run: () => go(`/video/${video.id}`) } });
  }

  clicked(event) {
    const link = event.target.closest?.("a[href^='/']");
    if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || link.hasAttribute("download") || link.pathname.startsWith("/v1") || link.pathname.startsWith("/docs") || link.pathname.startsWith("/studio")) return;
    event.preventDefault();
    go(link.pathname + link.search);
    this.querySelector("main")?.focus({ preventScroll: true });
  }

  pressed(event) {
    const typing = event.target.matches?.("input:not([type=range],[type=checkbox],[type=radio]), textarea, select");
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      dispatchEvent(new CustomEvent("run", { detail: { first: event.shiftKey } }));
    } else if (event.key === "Escape" && !event.defaultPrevented && !document.querySelector("dialog[open]")) {
      if (dispatchEvent(new CustomEvent("escape", { cancelable: true })) && queue.jobs.length) cancelNewest();
    } else if (typing || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (event.key === "?") {
      app.set({ dialog: "help" });
    } else if (event.key === "/") {
      const field = this.querySelector("#search, #words");
      if (field) event.preventDefault();
      field?.focus();
    }
  }

  hover(event) {
    if (![...(event.dataTransfer?.types ?? [])].includes("Files")) return;
    event.preventDefault();
    if (!app.dragging) app.set({ dragging: true });
  }

  given(event, from) {
    const files = [...(from?.files ?? [])];
    if (!files.length || event.defaultPrevented) return;
    event.preventDefault();
    give(files);
  }

  theme() {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem("theme", theme);
    } catch {
      store("theme", theme);
    }
  }

  page() {
    const id = app.path.match(/^\/video\/([\w-]+)$/)?.[1];
    if (id) return keyed(id, html`<wr-video class="page" name=${id}></wr-video>`);
    if (app.path === "/compare") return html`<wr-compare class="page"></wr-compare>`;
    return (PAGES.find((page) => page.path === app.path) ?? PAGES[0]).view();
  }

  render() {
    const running = queue.jobs.find((job) => job.status === "in_progress");
    const busy = queue.jobs.length;
    return html`
      <a class="skip" href="#main" @click=${(event) => { event.preventDefault(); this.querySelector("main").focus(); }}>Skip to the content</a>
      <header class="top"><div class="top-row">
        <a class="mark" href="/"><img src="/studio/static/icon.svg" alt="">worldreel</a>
        <nav class="nav" aria-label="Pages">${PAGES.filter((page) => !page.operator || app.about?.operator).map((page) => html`
          <a href=${page.path} aria-current=${app.path === page.path ? "page" : nothing}>${icon(page.icon)}${page.name}</a>`)}</nav>
        <div class="top-tools">
          ${busy && app.path !== "/" ? html`<a class="busy" href="/">${running ? `${running.progress} %` : "Waiting"}${busy > 1 ? ` · ${busy}` : ""}</a>` : nothing}
          <button class="button plain round" title="Keys (?)" aria-label="Keyboard shortcuts" @click=${() => app.set({ dialog: "help" })}>${icon("help")}</button>
          <button class="button plain round" title="Light or dark" aria-label="Light or dark" @click=${this.theme}>${icon("moon")}</button>
        </div>
      </div></header>
      <main id="main" tabindex="-1">${app.locked ? this.lock() : this.page()}</main>
      <footer class="foot"><span>Made on this machine. Every video is reviewed, marked and signed.</span>
        <a href="/docs" target="_self">API</a><span class="soft">${app.about ? `worldreel ${app.about.version}` : ""}</span></footer>
      ${app.dragging ? html`<div class="curtain"><div>${icon("picture")}<h2>Let go to use it</h2><p class="soft">A picture begins a video; a video of ours brings its prompt and seed back.</p></div></div>` : nothing}
      <div class="toasts" role="status" aria-live="polite">${app.toasts.map(({ id, text, action }) => html`
        <div class="toast"><p>${text}</p>${action ? html`<button @click=${() => { untoast(id); action.run(); }}>${action.label}</button>` : nothing}
          <button aria-label="Close this note" style="text-decoration:none" @click=${() => untoast(id)}>✕</button></div>`)}</div>
      ${app.dialog === "help" ? html`<wr-help></wr-help>` : nothing}`;
  }

  lock() {
    return html`<div class="empty" style="margin-top:var(--gap-6)">${icon("shield")}<h1 style="font-size:var(--size-4)">Whose key?</h1>
      <p>This server asks for a key. Whoever runs it makes one with <code>worldreel keys add NAME</code>.</p>
      <form class="row" @submit=${this.unlock}><label class="hidden-text" for="key">Key</label>
        <input id="key" class="input" style="width:18rem" type="password" autocomplete="current-password" required>
        <button class="button first">Come in</button></form></div>`;
  }

  async unlock(event) {
    event.preventDefault();
    try {
      await post("/studio/api/session", { key: this.querySelector("#key").value.trim() });
      this.begin();
    } catch (error) {
      toast(error.message);
    }
  }
}

class Help extends Element {
  firstUpdated() {
    this.querySelector("dialog").showModal();
  }

  render() {
    const close = () => app.set({ dialog: null });
    return html`<dialog aria-labelledby="keys" @close=${close} @click=${(event) => event.target.tagName === "DIALOG" && close()}>
      <div class="dialog-head"><h2 id="keys">Keys</h2><button class="button plain round small" aria-label="Close" @click=${close}>${icon("close")}</button></div>
      <div class="dialog-body"><dl class="keys">${KEYS.map(([keys, does]) => html`
        <dt>${keys.split(" ").map((key) => html`<kbd>${key}</kbd> `)}</dt><dd>${does}</dd>`)}</dl>
        <p class="small soft">Drop or paste a picture anywhere to begin with it. A video that was made here brings its prompt, seed and settings back.</p></div>
    </dialog>`;
  }
}

customElements.define("wr-help", Help);
customElements.define("wr-app", App);
