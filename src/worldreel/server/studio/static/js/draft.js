// What lies in the prompt box, for this tab: it outlives a reload. What a person did not choose is
// null, and the server's to choose. Files do not outlive it: browsers keep none.

import { Store, app, store, stored } from "./base.js";

const PLAIN = {
  prompt: "", shape: null, seconds: 4, scale: 1, seed: null, steps: null, guidance: null, negative: "",
  model: null, style: "", count: 1,
};
const WHERE = sessionStorage;

export const draft = new Store({ ...PLAIN, ...stored("draft", {}, WHERE), attached: [], past: [], more: false });

const kept = () => Object.fromEntries(Object.keys(PLAIN).map((name) => [name, draft[name]]));

export function change(patch) {
  draft.set(patch);
  store("draft", kept(), WHERE);
}

// A change that can be undone: all that is not typed.
export function replaced(patch) {
  draft.set({ past: [...draft.past.slice(-20), { ...kept(), attached: draft.attached }] });
  change(patch);
}

export function undo() {
  const last = draft.past.at(-1);
  if (!last) return;
  draft.set({ past: draft.past.slice(0, -1) });
  change(last);
}

export const reset = () => replaced({ ...PLAIN, attached: [] });

export const model = () => app.about?.models.find((one) => one.id === draft.model) ?? app.about?.models[0];

// The shapes that the model makes, its favourite first: {name, label, width, height}.
export function shapes() {
  const natives = model()?.natives ?? [[128, 128], [160, 96], [96, 160]];
  const found = new Map();
  for (const [width, height] of natives) {
    const name = width === height ? "square" : width > height ? "wide" : "tall";
    if (!found.has(name)) found.set(name, { name, label: name[0].toUpperCase() + name.slice(1), width, height });
  }
  return [...found.values()];
}

export const shape = () => shapes().find((one) => one.name === draft.shape) ?? shapes()[0];

export const size = () => {
  const { width, height } = shape();
  const whole = (side) => Math.min(1920, Math.round(side * draft.scale));
  return `${whole(width)}x${whole(height)}`;
};

// The prompt as it is sent: a style is a part of it, and shown with it.
export const used = () => [draft.prompt.trim().replace(/[ .,;]+$/, ""), draft.style].filter(Boolean).join(", ");

// What a video or a recipe says, into the box.
export function restore(told) {
  const [width, height] = (told.size ?? "").split("x").map(Number);
  const name = !width ? null : width === height ? "square" : width > height ? "wide" : "tall";
  const native = shapes().find((one) => one.name === name);
  replaced({
    prompt: told.prompt ?? "", style: "", seed: told.seed ?? null, negative: told.negative ?? told.negative_prompt ?? "",
    seconds: Math.max(1, Math.min(120, Math.round(Number(told.seconds) * 100) / 100 || 4)),
    shape: native ? name : null,
    scale: native ? ([1, 2, 4].find((scale) => native.width * scale >= width * 0.9) ?? 4) : 1,
    steps: told.steps && told.task ? (told.given_steps ?? null) ?? told.steps : null,
    guidance: told.guidance ?? null, model: app.about?.models.some((one) => one.id === told.model) ? told.model : null,
    attached: [],
  });
}
