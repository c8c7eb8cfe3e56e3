// From the prompt box to a job: the public API where it has a word for it.

import { app, go, problem, toast } from "./base.js";
import { ApiError, order, post } from "./api.js";
import { draft, replaced, restore, size, used } from "./draft.js";
import { began } from "./queue.js";
import { explained } from "./words.js";

const settings = () => {
  const named = { seed: draft.seed, num_inference_steps: draft.steps, guidance_scale: draft.guidance };
  if (draft.negative) named.negative_prompt = draft.negative;
  if (draft.model) named.model = draft.model;
  return Object.fromEntries(Object.entries(named).filter(([, value]) => value !== null));
};

function form(fields, files) {
  const made = new FormData();
  for (const [name, value] of Object.entries(fields)) made.append(name, value);
  for (const [name, file] of Object.entries(files)) made.append(name, file, file.name);
  return made;
}

async function asked(first) {
  const fields = { prompt: used(), ...settings() };
  const priority = first && !app.about.keys ? 1 : 0;
  const stills = draft.attached.filter((one) => one.kind === "still");
  const clip = draft.attached.find((one) => one.kind === "clip");
  if (clip?.act === "edit") {
    return post("/v1/videos/edits", form({ ...fields, model: draft.model ?? app.about.models[0].id, strength: 0.6 }, { video: clip.file }));
  }
  if (clip) {
    const tool = clip.act === "loop" ? "loop" : "extend";
    return order({ tool, ...fields, seconds: tool === "loop" ? 2 : Number(draft.seconds), given: [{ part: "f0" }], priority }, { f0: clip.file });
  }
  const whole = { ...fields, seconds: String(draft.seconds), size: size() };
  if (stills.length === 1 && !stills[0].at) {
    return post("/v1/videos", form({ ...whole, priority }, { input_reference: stills[0].file }));
  }
  if (stills.length) {
    const given = stills.map((one, number) => ({ part: `f${number}`, still: true, at: one.at }));
    const files = Object.fromEntries(stills.map((one, number) => [`f${number}`, one.file]));
    return order({ tool: "keyframes", ...fields, size: size(), seconds: Number(draft.seconds), given, priority }, files);
  }
  const jobs = [];
  for (let number = 0; number < draft.count; number += 1) {
    const seed = whole.seed === undefined ? {} : { seed: whole.seed + number };
    jobs.push(await post("/v1/videos", { ...whole, ...seed, priority }));
  }
  return { data: jobs };
}

// Asks for what is in the box. Returns null, or what stands in the way: {heading, text, param}.
export async function make({ first = false } = {}) {
  const needed = !draft.attached.some((one) => one.kind === "clip" && one.act !== "edit");
  if (needed && !used()) return { heading: "Say what should happen", text: "A few words will do: who, what they do, and where.", param: "prompt", gentle: true };
  try {
    const told = await asked(first);
    began(told.data ?? [told]);
    return null;
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    return { ...explained(error), param: error.param };
  }
}

// Something dropped, pasted or chosen: looked at by the server first, then taken, restored or refused.
export async function give(files) {
  for (const file of [...files].slice(0, 8)) {
    if (app.about && file.size > app.about.upload) {
      toast(`${file.name} is too large: at most ${Math.round(app.about.upload / 2 ** 20)} MB can be given.`);
      continue;
    }
    const told = await looked(file);
    if (told) taken(file, told);
  }
}

async function looked(file) {
  const made = new FormData();
  made.append("file", file, file.name);
  try {
    return await post("/studio/api/look", made);
  } catch (error) {
    if (error.code === "invalid_file") toast(`${file.name} cannot be opened: it is damaged, or neither a picture nor a video.`, { seconds: 9 });
    else problem(error);
    return null;
  }
}

function taken(file, told) {
  const url = URL.createObjectURL(file);
  if (location.pathname !== "/") go("/");
  if (told.moves && told.recipe) {
    restore(told.recipe);
    const use = () => replaced({ attached: [clip(file, url, told)] });
    toast("Its prompt, seed and settings are back in the box.", { action: { label: "Use the clip itself", run: use }, seconds: 10 });
    return;
  }
  if (told.moves) {
    replaced({ attached: [clip(file, url, told)] });
    return;
  }
  const stills = draft.attached.filter((one) => one.kind === "still");
  const at = stills.length ? Math.max(...stills.map((one) => one.at)) + 2 : 0;
  const patch = { attached: [...stills, { kind: "still", file, url, at, name: file.name }] };
  if (!stills.length) patch.shape = nearest(told);
  if (at > draft.seconds) patch.seconds = at;
  replaced(patch);
}

const clip = (file, url, told) => ({ kind: "clip", file, url, name: file.name, seconds: told.seconds, act: "extend" });

const nearest = ({ width, height }) => {
  const ratio = width / height;
  return ratio > 1.15 ? "wide" : ratio < 0.87 ? "tall" : "square";
};
