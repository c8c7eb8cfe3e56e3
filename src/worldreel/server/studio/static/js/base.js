// What every element of ours is: Lit without a shadow, so that one set of styles and one page of
// headings, labels and landmarks serve everybody; and one place for what several of them share.

import { LitElement } from "../vendor/lit.js";

export class Element extends LitElement {
  createRenderRoot() {
    return this;
  }
}

// State that elements watch: set() tells all of them.
export class Store {
  #watching = new Set();

  constructor(state) {
    Object.assign(this, state);
  }

  set(patch) {
    Object.assign(this, patch);
    for (const host of this.#watching) host.requestUpdate();
  }

  watch(host) {
    host.addController({
      hostConnected: () => this.#watching.add(host),
      hostDisconnected: () => this.#watching.delete(host),
    });
  }
}

export const app = new Store({
  about: null, // what the server is
  path: location.pathname,
  dialog: null, // the name of the open dialog, and what it is about
  toasts: [],
  dragging: false,
  locked: false,
});

let count = 0;

// A line at the edge of the page; `action` is {label, run}.
export function toast(text, { action = null, seconds = 6 } = {}) {
  const id = ++count;
  app.set({ toasts: [...app.toasts.slice(-2), { id, text, action }] });
  setTimeout(() => untoast(id), seconds * 1000);
  return id;
}

export function untoast(id) {
  if (app.toasts.some((one) => one.id === id)) app.set({ toasts: app.toasts.filter((one) => one.id !== id) });
}

export const problem = (error) => {
  if (error.name !== "AbortError") toast(error.message, { seconds: 9 });
};

export function go(path) {
  if (path === location.pathname + location.search) return;
  history.pushState(null, "", path);
  arrived();
}

export function arrived() {
  app.set({ path: location.pathname, dialog: null });
  window.scrollTo(0, 0);
}

export const stored = (name, otherwise, where = localStorage) => {
  try {
    return JSON.parse(where.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
};

export const store = (name, value, where = localStorage) => {
  try {
    where.setItem(name, JSON.stringify(value));
  } catch {
    // full or off: nothing that matters is lost
  }
};

export const isDark = () => (document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";

// Only one thing moves when people ask for less motion: what they start themselves.
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
