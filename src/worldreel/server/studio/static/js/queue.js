// What is being made. One poll for the list, one stream of events for each job that runs (two at
// most: a browser has six connections to a server, for all tabs together), none while nobody looks.

import { Store, problem, stored, store, toast } from "./base.js";
import { get, listen, post, remove } from "./api.js";
import { fits, title } from "./words.js";

const OFTEN = 1500;
const SELDOM = 12000;
const STREAMS = 2;

export const queue = new Store({
  jobs: [], // active ones, running first, as the server orders them
  ended: [], // failed and not put away yet, the newest first
  fresh: [], // completed since the page was opened, the newest first
  previews: {}, // by id: a data URL, reviewed by the server
  waiting: 0,
  ready: false,
});

const streams = new Map();
const mine = new Set(); // begun in this tab: what Esc stops
const channel = "BroadcastChannel" in window ? new BroadcastChannel("worldreel") : null;
let timer = 0;
let again = null;

export const putAway = (id) => {
  store("seen", [...stored("seen", []).slice(-200), id]);
  queue.set({ ended: queue.ended.filter((job) => job.id !== id) });
};

// Tells the page, and the other tabs, that the server has something new.
export function changed() {
  channel?.postMessage("changed");
  return refresh();
}

if (channel) channel.onmessage = () => document.hidden || refresh();

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) refresh();
  else for (const stop of streams.values()) stop.abort();
});

export function refresh() {
  clearTimeout(timer);
  again ??= look().finally(() => {
    again = null;
    if (!document.hidden) timer = setTimeout(refresh, queue.jobs.length ? OFTEN : SELDOM);
  });
  return again;
}

async function look() {
  let told;
  try {
    told = await get("/studio/api/queue");
  } catch {
    queue.set({ ready: true });
    return;
  }
  const here = new Set(told.data.map((job) => job.id));
  const gone = queue.jobs.filter((job) => !here.has(job.id));
  queue.set({ jobs: told.data.map(newer), waiting: told.waiting, ready: true });
  for (const job of gone) await settle(job.id);
  for (const job of told.data.filter((one) => one.status === "in_progress").slice(0, STREAMS)) follow(job.id);
}

// Events come faster than the list: progress never goes back.
function newer(job) {
  const known = queue.jobs.find((one) => one.id === job.id);
  return known?.status === job.status && known.progress > job.progress ? { ...job, ...known, queue_position: job.queue_position } : job;
}

async function settle(id) {
  try {
    const job = await get(`/studio/api/videos/${id}`);
    if (job.status === "completed") arrive(job);
    else if (job.status === "failed") fail(job);
  } catch {
    // deleted meanwhile, by us or in another tab
  }
  const { [id]: _, ...previews } = queue.previews;
  queue.set({ previews });
}

function arrive(job) {
  mine.delete(job.id);
  if (queue.fresh.some((one) => one.id === job.id)) return;
  queue.set({ fresh: [job, ...queue.fresh] });
  dispatchEvent(new CustomEvent("finished", { detail: job }));
}

function fail(job) {
  mine.delete(job.id);
  if (job.error?.code === "cancelled" || stored("seen", []).includes(job.id)) return;
  if (!queue.ended.some((one) => one.id === job.id)) queue.set({ ended: [job, ...queue.ended].slice(0, 6) });
}

async function follow(id) {
  if (streams.has(id)) return;
  const stop = new AbortController();
  streams.set(id, stop);
  try {
    await listen(`/v1/videos/${id}/events`, stop.signal, (event, told) => {
      if (event === "video.preview") return preview(id, told);
      if (event === "video.progress") queue.set({ jobs: queue.jobs.map((job) => (job.id === id ? { ...job, ...told, queue_position: job.queue_position } : job)) });
      else refresh();
    });
  } catch {
    // the poll goes on
  } finally {
    streams.delete(id);
  }
}

function preview(id, told) {
  const data = told.image ?? told.preview ?? told.url ?? told.data;
  if (typeof data !== "string") return;
  const url = data.startsWith("data:") ? data : `data:image/webp;base64,${data}`;
  queue.set({ previews: { ...queue.previews, [id]: url } });
}

// After a reload: failures of the last hour that nobody has put away.
export async function recall() {
  try {
    const page = await get("/v1/videos?limit=20");
    const hour = Date.now() / 1000 - 3600;
    const failed = page.data.filter((job) => job.status === "failed" && job.created_at > hour && job.error?.code !== "cancelled");
    for (const job of failed.reverse()) if (!stored("seen", []).includes(job.id)) await settle(job.id);
  } catch {
    // the list shows nothing then, and says so elsewhere
  }
}

export function began(jobs) {
  for (const job of jobs) mine.add(job.id);
  queue.set({ jobs: [...queue.jobs, ...jobs.filter((job) => !queue.jobs.some((one) => one.id === job.id))] });
  changed();
}

export async function cancel(job) {
  try {
    await post(`/v1/videos/${job.id}/cancel`);
    toast(`Cancelled: “${fits(title(job), 40)}”.`);
  } catch (error) {
    problem(error);
  }
  changed();
}

// Esc: the newest of this tab's jobs, or else what runs.
export function cancelNewest() {
  const own = queue.jobs.filter((job) => mine.has(job.id));
  const job = own[own.length - 1] ?? queue.jobs.find((one) => one.status === "in_progress") ?? queue.jobs[0];
  if (job) cancel(job);
  return Boolean(job);
}

export async function runNext(job) {
  try {
    await post(`/studio/api/videos/${job.id}/next`);
  } catch (error) {
    problem(error);
  }
  changed();
}

// Deleting can be taken back for a few seconds: only then is the server told.
const doomed = new Map();

export const isDoomed = (id) => doomed.has(id);

export function destroy(videos, then = () => {}) {
  const ids = videos.map((video) => video.id);
  const run = (keepalive) => Promise.all(ids.map((id) => {
    doomed.delete(id);
    return remove(`/v1/videos/${id}`, { keepalive }).catch(problem);
  })).then(changed);
  const timeout = setTimeout(run, 6000);
  for (const id of ids) doomed.set(id, () => { clearTimeout(timeout); run(true); });
  queue.set({ fresh: [...queue.fresh] });
  const back = () => {
    clearTimeout(timeout);
    for (const id of ids) doomed.delete(id);
    queue.set({ fresh: [...queue.fresh] });
    then();
  };
  toast(ids.length === 1 ? "Deleted." : `${ids.length} videos deleted.`, { action: { label: "Undo", run: back } });
}

addEventListener("pagehide", () => { for (const run of new Set(doomed.values())) run(); });

export async function favourite(video) {
  try {
    const told = await post(`/studio/api/videos/${video.id}/marks`, { favourite: !video.favourite });
    dispatchEvent(new CustomEvent("marked", { detail: told }));
    return told;
  } catch (error) {
    problem(error);
    return video;
  }
}
