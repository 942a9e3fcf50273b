// Plays all tracks of a song on one clock, segment after segment, to the sample.
//
// Each track is a row of segments of two seconds. What is heard next is decoded ahead, and all
// tracks of it are started at one time of one AudioContext; the page never holds more than a few
// segments of each track.

export const RATE = 44100;
export const SEGMENT = 2 * RATE;
const AHEAD = 2.5; // s that are scheduled ahead
const SOON = 0.08; // s from a key press to the first sample
const RUSH = 700; // ms between two seeks that are one movement
const CALM = 450; // ms after the last of them until sound is decoded again
const RAMP = 0.015; // s of a change of gain, so that it does not click

export class Player extends EventTarget {
  constructor(fetchSegment) {
    super();
    this.fetch = fetchSegment;
    this.context = null;
    this.tracks = new Map(); // name -> {frames, segments, gains, node, wanted}
    this.buffers = new Map(); // "name/segment" -> promise of an AudioBuffer
    this.frames = 0;
    this.ready = Infinity; // samples that are there, while tracks grow
    this.playing = false;
    this.loop = null; // {start, end} in samples
    this.at = 0; // sample at which playback rests, or began
    this.began = 0; // time of the context at which sample `at` is heard
    this.pieces = []; // what is scheduled: {sample, time, length, sources}
    this.sought = -Infinity; // when it was sought last
    this.turn = 0; // counts seeks, so that what was loaded for an earlier one is left
  }

  ensure() {
    if (this.context) return;
    this.context = new AudioContext({ sampleRate: RATE, latencyHint: "interactive" });
    this.master = this.context.createGain();
    this.analyser = this.context.createAnalyser();
    this.analyser.fftSize = 2048;
    this.master.connect(this.analyser).connect(this.context.destination);
    for (const track of this.tracks.values()) this.connect(track);
  }

  connect(track) {
    track.node = this.context.createGain();
    track.node.gain.value = track.wanted;
    track.node.connect(this.master);
  }

  set(tracks, frames) {
    const before = this.position();
    const playing = this.playing;
    this.stop();
    for (const track of this.tracks.values()) track.node?.disconnect();
    this.tracks = new Map(tracks.map((track) => [track.name, { ...track, node: null, wanted: 0 }]));
    this.buffers.clear();
    this.frames = frames;
    this.ready = Infinity;
    this.loop = null;
    if (this.context) for (const track of this.tracks.values()) this.connect(track);
    this.at = Math.min(before, Math.max(0, frames - 1));
    if (playing) this.play();
  }

  add(track) {
    if (this.tracks.has(track.name)) return;
    const own = { ...track, node: null, wanted: 0 };
    this.tracks.set(track.name, own);
    if (this.context) this.connect(own);
  }

  // A track that is longer than it was.
  grow({ name, frames, segments, gains }) {
    const track = this.tracks.get(name);
    // What may have been cut off at its end is decoded again.
    this.buffers.delete(`${name}/${track.segments - 1}`);
    Object.assign(track, { frames, segments, gains });
  }

  // Linear gains by track; those that are not named are silent.
  gains(wanted) {
    for (const [name, track] of this.tracks) {
      track.wanted = wanted[name] || 0;
      if (track.node) {
        const now = this.context.currentTime;
        track.node.gain.cancelScheduledValues(now);
        // The clock of a context that rests stands still, and with it what is scheduled.
        if (this.context.state === "running") track.node.gain.setTargetAtTime(track.wanted, now, RAMP / 3);
        else track.node.gain.value = track.wanted;
      }
    }
  }

  position() {
    if (!this.playing || !this.context) return this.at;
    const now = this.context.currentTime - (this.context.outputLatency || 0);
    for (let n = this.pieces.length - 1; n >= 0; n -= 1) {
      const piece = this.pieces[n];
      if (piece.time <= now) return Math.min(piece.sample + Math.round((now - piece.time) * RATE), piece.sample + piece.length);
    }
    return this.at;
  }

  // Plays from where it rests, after so many milliseconds.
  async play(wait = 0) {
    if (!this.frames) return; // nothing is there yet
    this.ensure();
    this.playing = true;
    this.dispatchEvent(new Event("change"));
    if (this.at >= this.end() - 1) this.at = this.loop && this.loop.start < this.end() ? this.loop.start : 0;
    const turn = ++this.turn;
    await this.context.resume();
    if (wait) await rest(wait);
    if (turn === this.turn) this.schedule(turn);
  }

  pause() {
    if (!this.playing) return;
    this.at = this.position();
    this.stop();
    this.context?.suspend();
  }

  stop() {
    this.turn += 1;
    for (const piece of this.pieces) for (const source of piece.sources) {
      try { source.stop(); } catch { /* not started */ }
      source.disconnect();
      source.buffer = null; // or its samples stay until the node is collected
    }
    this.pieces = [];
    if (this.playing) {
      this.playing = false;
      this.dispatchEvent(new Event("change"));
    }
  }

  seek(sample) {
    const playing = this.playing;
    this.stop();
    this.at = Math.max(0, Math.min(Math.round(sample), this.frames - 1, this.ready - 1));
    this.forget(Math.floor(this.at / SEGMENT));
    // Of a row of quick seeks, such as a key that is held, only the last is decoded: segments of all
    // tracks take memory faster than it is collected.
    const rush = performance.now() - this.sought < RUSH;
    this.sought = performance.now();
    if (playing) this.play(rush ? CALM : 0);
    else this.dispatchEvent(new Event("change"));
  }

  setLoop(loop) {
    const at = this.position();
    this.loop = loop;
    this.seek(loop && (at < loop.start || at >= loop.end) ? loop.start : at);
  }

  end() { return Math.min(this.loop ? this.loop.end : this.frames, this.ready); }

  async schedule(turn) {
    let sample = this.at;
    let time = 0; // of the next piece; 0 is as soon as it is decoded
    while (turn === this.turn) {
      const number = Math.floor(sample / SEGMENT);
      const stop = Math.min((number + 1) * SEGMENT, this.end());
      let decoded;
      try {
        decoded = await this.load(number, true);
      } catch (error) {
        if (turn !== this.turn) return;
        this.stop();
        this.dispatchEvent(new CustomEvent("failed", { detail: error }));
        return;
      }
      if (turn !== this.turn) return;
      const now = this.context.currentTime;
      if (time < now + 0.01) time = Math.ceil((now + SOON) * RATE) / RATE;
      this.begin(sample, stop - sample, number, decoded, time);
      this.join(turn, this.pieces.at(-1), number);
      time = (Math.round(time * RATE) + stop - sample) / RATE;
      sample = stop;
      if (sample >= this.end()) {
        if (!this.loop || this.loop.start >= this.end()) {
          this.finish(turn, time);
          return;
        }
        sample = this.loop.start;
      }
      this.load(Math.floor(sample / SEGMENT), false).catch(() => {});
      // A loop may be far shorter than a segment.
      while (turn === this.turn && time - this.context.currentTime > AHEAD) await rest(100);
      this.forget(number);
    }
  }

  begin(sample, length, number, decoded, time) {
    const now = this.context.currentTime;
    this.pieces = this.pieces.filter((piece) => piece.time + piece.length / RATE > now - 1);
    const piece = { sample, length, time, sources: [], tracks: new Set() };
    this.pieces.push(piece);
    for (const [track, buffer] of decoded) this.start(piece, track, buffer, number, 0);
  }

  // Starts a track of a piece, `late` samples after the piece began, in time with the others.
  start(piece, track, buffer, number, late) {
    piece.tracks.add(track.name);
    const offset = piece.sample + late - number * SEGMENT;
    const own = Math.min(piece.length - late, buffer.length - offset);
    if (own <= 0) return;
    const source = new AudioBufferSourceNode(this.context, { buffer });
    source.connect(track.node);
    source.start((Math.round(piece.time * RATE) + late) / RATE, offset / RATE, own / RATE);
    piece.sources.push(source);
  }

  // Tracks that are silent as the faders are set join as soon as they are decoded, so that nobody
  // waits for them.
  async join(turn, piece, number) {
    const rest = await this.load(number, false).catch(() => []);
    for (const [track, buffer] of rest) {
      if (turn !== this.turn || piece.tracks.has(track.name)) continue;
      const soon = this.context.currentTime + 0.03;
      this.start(piece, track, buffer, number, Math.max(0, Math.ceil((soon - piece.time) * RATE)));
    }
  }

  // The decoded segment of each track that is heard now, or of all, as pairs.
  load(number, heard) {
    const wanted = [...this.tracks.values()].filter((track) => number < track.segments && (!heard || Math.abs(track.wanted) > 1e-4));
    return Promise.all(wanted.map(async (track) => {
      const key = `${track.name}/${number}`;
      if (!this.buffers.has(key)) {
        const promise = this.fetch(track.name, number).then((data) => this.context.decodeAudioData(data)).then((buffer) => amplified(buffer, track.gains?.[number]));
        promise.catch(() => this.buffers.delete(key));
        this.buffers.set(key, promise);
      }
      return [track, await this.buffers.get(key)];
    }));
  }

  // Leaves segments that are not near the one that is heard.
  forget(number) {
    const first = Math.floor((this.loop ? this.loop.start : this.at) / SEGMENT);
    for (const key of this.buffers.keys()) {
      const own = Number(key.slice(key.lastIndexOf("/") + 1));
      if (own !== number && own !== number + 1 && !(this.loop && own === first)) this.buffers.delete(key);
    }
  }

  async finish(turn, time) {
    while (turn === this.turn && this.context.currentTime < time) await rest(50);
    if (turn !== this.turn) return;
    const more = this.end() < this.frames && !this.loop; // a song that is not there as a whole yet
    this.stop();
    this.at = more ? this.end() : 0;
    this.context.suspend();
    this.dispatchEvent(new Event("change"));
  }

  // Root mean square of what is heard now.
  level() {
    if (!this.analyser) return 0;
    const samples = new Float32Array(this.analyser.fftSize);
    this.analyser.getFloatTimeDomainData(samples);
    return Math.sqrt(samples.reduce((sum, one) => sum + one * one, 0) / samples.length);
  }
}

// A segment that was divided by its peak, at its own level.
function amplified(buffer, gain) {
  if (gain) for (let n = 0; n < buffer.numberOfChannels; n += 1) {
    const samples = buffer.getChannelData(n);
    for (let i = 0; i < samples.length; i += 1) samples[i] *= gain;
  }
  return buffer;
}

const rest = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));
