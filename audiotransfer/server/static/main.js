// The page: a song, a request, its progress, and the mixer.
import { call, release, watch } from "./api.js";
import { clock, element } from "./wave.js";
import { Blind } from "./blind.js";
import { Downloads } from "./downloads.js";
import { Mixer } from "./mixer.js";
import { Sheet } from "./sheet.js";
import { Setup } from "./setup.js";

const by = (id) => document.getElementById(id);
const KEPT = "audiotransfer-page";
const PING = 60_000;
const STAGES = { loading: "loading", measure: "listening", transcribe: "listening", transfer: "playing", arrange: "playing", write: "writing", tracks: "making the mixer's tracks" };

const state = { song: null, jobs: [], current: null };
const keep = () => {
  try { sessionStorage.setItem(KEPT, JSON.stringify(state)); } catch { /* a private window */ }
};

function say(text) {
  by("message").textContent = text;
  by("message").hidden = !text;
}

const mixer = new Mixer(say);
const setup = new Setup(start, say);
const sheet = new Sheet(() => mixer.seconds, start, say);
const downloads = new Downloads(mixer, say);
const blind = new Blind(mixer);
mixer.changed = () => downloads.showCommand();
let stop = () => {};

async function start(request) {
  say("");
  try {
    const job = await call("POST", "api/jobs", request);
    state.song = request.song;
    state.jobs.push(job.id);
    open(job.id);
  } catch (error) {
    say(error.message);
  }
}

function open(id) {
  stop();
  state.current = id;
  keep();
  let first = true;
  stop = watch(id, (job) => {
    show(job, first);
    first = false;
  }, () => say("The job is not there any more; start it again."));
}

async function show(job, first) {
  if (job.id !== state.current) return;
  const busy = job.state === "queued" || job.state === "running";
  by("working").hidden = !busy;
  if (busy) {
    by("stage").textContent = job.state === "queued"
      ? `waiting, ${job.position > 1 ? `${job.position - 1} before this` : "next"}`
      : `${STAGES[job.stage] || job.stage}, ${Math.round(100 * job.share)} %${job.left ? `, ${clock(job.left)} left` : ""}`;
    by("share").value = job.share;
    if (first && !job.tracks.length) by("cancel").focus();
  }
  if (job.state === "failed") say(job.error);
  if (job.state === "cancelled") {
    state.jobs = state.jobs.filter((id) => id !== job.id);
    keep();
    say("Cancelled.");
    by("preview").focus();
  }
  const audible = job.tracks.some((track) => track.name === "mix");
  if (!audible) {
    if (job.state !== "done") by("result").hidden = true;
    return;
  }
  const appeared = by("result").hidden;
  by("result").hidden = false;
  try {
    await mixer.show(job);
  } catch (error) {
    say(error.message);
  }
  if (appeared) {
    mixer.zoom();
    by("play").focus();
    document.documentElement.dataset.audible = String(performance.now());
  }
  for (const id of ["download", "pictures", "blind"]) by(id).hidden = job.state !== "done";
  if (job.state !== "done" || job.id !== state.current) {
    by("sheet").hidden = by("corrections").hidden = true;
    return;
  }
  showNotices(job);
  showVersions();
  downloads.show(job);
  blind.show(job);
  try {
    const kind = setup.kind();
    await sheet.show(job, setup.styles.filter((style) => style[kind]?.modes.includes("cover")).map((style) => style.name));
  } catch (error) {
    say(error.message);
  }
  document.documentElement.dataset.done = job.id;
}

function showNotices(job) {
  state.labels = { ...state.labels, [job.id]: `${job.request.style}, ${job.report.mode}${job.request.seed ? `, seed ${job.request.seed}` : ""}${job.request.preview ? ", preview" : ""}${job.request.edits?.length ? `, ${job.request.edits.length} corrected` : ""}` };
  const cover = job.report.cover;
  const facts = cover ? [`${cover.key}, ${cover.metre}, ${Math.round(cover.tempo)} beats a minute`] : [];
  by("notices").replaceChildren(...[...facts, ...job.report.notices].map((text) => element("p", { class: "notice" }, text)));
  keep();
}

// Transfers of this page, to go back to an earlier one.
function showVersions() {
  by("versions").replaceChildren(...(state.jobs.length < 2 ? [] : state.jobs.map((id, n) => element("button", {
    type: "button", "aria-pressed": String(id === state.current),
    onclick: () => {
      by("result").hidden = true;
      open(id);
    },
  }, `${n + 1}: ${state.labels?.[id] || "…"}`))));
}

by("cancel").addEventListener("click", () => call("DELETE", `api/jobs/${state.current}`).catch((error) => say(error.message)));
by("api").href += location.search;
window.addEventListener("pagehide", () => release([...state.jobs, state.song].filter(Boolean)));
setInterval(() => {
  for (const id of state.jobs) call("GET", `api/jobs/${id}`).catch(() => {});
  if (setup.song) call("GET", `api/songs/${setup.song.id}`).catch(() => {});
}, PING);

// A page that was reloaded goes on where it was.
async function resume() {
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(KEPT)); } catch { /* nothing was kept */ }
  if (!kept) return;
  try {
    if (kept.song) setup.show(await call("GET", `api/songs/${kept.song}`));
  } catch { return; }
  const there = await Promise.all(kept.jobs.map((id) => call("GET", `api/jobs/${id}`).then(() => id, () => null)));
  Object.assign(state, kept, { jobs: there.filter(Boolean) });
  if (state.jobs.includes(state.current)) open(state.current);
}

try {
  await setup.load();
  await resume();
} catch (error) {
  say(error.message);
}
// For tests and for those who write scripts in the browser's console.
window.audiotransfer = { mixer, player: mixer.player, setup, state };
