// Downloads, the command line, and the spectrogram of a job.
import { bytes, call, link } from "./api.js";
import { element } from "./wave.js";

const by = (id) => document.getElementById(id);

const quoted = (word) => (/^[A-Za-z0-9_./=+@:-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\"'\"'")}'`);

export class Downloads {
  constructor(mixer, say) {
    this.mixer = mixer;
    this.say = say;
    this.job = null;
    by("save-mix").addEventListener("click", () => this.save(by("save-mix"), async () => this.writeMix()));
    by("save-all").addEventListener("click", () => this.save(by("save-all"), async () => {
      if (!this.mixer.untouched) await this.writeMix(); // the mix as it is set is one of the files
      return "all";
    }));
    by("copy").addEventListener("click", () => this.copy());
    by("format").addEventListener("change", () => this.showBits());
    by("pictures").addEventListener("toggle", () => this.picture());
  }

  show(job) {
    const other = this.job?.id !== job.id;
    this.job = job;
    if (other) {
      if (by("picture").src) URL.revokeObjectURL(by("picture").src);
      by("picture").removeAttribute("src");
      by("picture").hidden = true;
      by("pictures").open = false;
      by("format").value = job.request.format || "wav";
      by("encoding").value = job.request.encoding || "int16";
      this.showBits();
    }
    by("files").replaceChildren(...Object.entries(job.files).map(([name, shown]) => element("li", {}, element("a", { href: link(`api/jobs/${job.id}/result/${name}`), download: shown.split("/").pop() }, shown))));
    this.showCommand();
  }

  showBits() {
    by("bits").hidden = ["mp3", "ogg"].includes(by("format").value);
    const float = by("encoding").querySelector('[value="float32"]');
    float.disabled = by("format").value === "flac";
    if (float.disabled && by("encoding").value === "float32") by("encoding").value = "int24";
  }

  // Writes the mix as it is set on the server; its name there.
  async writeMix() {
    // As it was written where nothing was changed: the same file that the command line writes.
    const gains = this.mixer.untouched ? { mix: 1 } : this.mixer.finalGains();
    const format = by("format").value;
    const encoding = by("bits").hidden ? "int16" : by("encoding").value;
    const { file } = await call("POST", `api/jobs/${this.job.id}/mix`, { gains, format, encoding });
    return file;
  }

  // Saves the file that `write` names.
  async save(button, write) {
    button.disabled = true;
    try {
      const file = await write();
      const made = element("a", { href: link(`api/jobs/${this.job.id}/result/${file}`), download: "" });
      document.body.append(made);
      made.click();
      made.remove();
    } catch (error) {
      this.say(error.message);
    } finally {
      button.disabled = false;
    }
  }

  // The command line of the job, with what a command can say of the faders.
  command() {
    const words = [this.job.command];
    const notes = [];
    for (const stem of this.mixer.stems) {
      const parts = stem.news.map((track) => track.name.replace(/^new-/, ""));
      const single = parts.length < 2;
      if (stem.mute) {
        if (this.job.report?.mode === "timbre" || stem.kept) words.push(`--stem ${quoted(`${stem.name}=mute`)}`);
        else for (const part of parts) words.push(`--gain ${quoted(`${part}=-60`)}`);
      } else if (stem.fade === 0 && stem.dry && !stem.kept) words.push(`--stem ${quoted(`${stem.name}=keep`)}`);
      else if (stem.fade < 1) notes.push(`# ${stem.name}: ${Math.round(100 - 100 * stem.fade)} % of the way to the original, which is mixed on the page alone`);
      if (stem.mute) continue;
      for (const part of parts.length ? parts : [stem.name]) {
        const own = stem.parts[part];
        const gain = stem.gain - stem.first + (own ? own.gain : stem.first);
        const was = own ? own.first : stem.first;
        if (own?.mute) words.push(`--gain ${quoted(`${part}=-60`)}`);
        else if (gain !== was) words.push(`--gain ${quoted(`${single ? stem.name : part}=${gain > 0 ? "+" : ""}${gain}`)}`);
      }
    }
    if (this.mixer.stems.some((stem) => stem.solo)) notes.push("# solo is the page's alone");
    return [words.join(" "), ...notes].join("\n");
  }

  showCommand() {
    if (this.job) by("command").textContent = this.command();
    by("copied").textContent = "";
  }

  async copy() {
    try {
      await navigator.clipboard.writeText(this.command());
      by("copied").textContent = "copied";
    } catch {
      getSelection().selectAllChildren(by("command"));
      by("copied").textContent = "selected; press Ctrl+C";
    }
  }

  async picture() {
    if (!by("pictures").open || by("picture").src || !this.job) return;
    const { id, name, request } = this.job;
    by("picture-state").textContent = "It is being drawn …";
    try {
      const data = await bytes(`api/jobs/${id}/spectrogram`);
      if (this.job.id !== id) return;
      by("picture").src = URL.createObjectURL(new Blob([data], { type: "image/png" }));
      by("picture").alt = `Spectrograms of ${name}, original above, ${request.style} below: time in seconds, frequency in Hz`;
      by("picture").hidden = false;
      by("picture-state").textContent = "";
    } catch (error) {
      by("picture-state").textContent = error.message;
    }
  }
}
