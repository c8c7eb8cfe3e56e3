// Numbers and refusals in words.

const number = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

export const plural = (count, one, many = `${one}s`) => `${number.format(count)} ${count === 1 ? one : many}`;

export function length(seconds) {
  const whole = Number(seconds);
  if (!(whole > 0)) return "";
  if (whole < 0.1) return "still";
  if (whole < 60) return `${number.format(whole)} s`;
  return `${Math.floor(whole / 60)}:${String(Math.round(whole % 60)).padStart(2, "0")}`;
}

export function wait(seconds) {
  if (seconds == null) return "";
  if (seconds < 2) return "a moment";
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return `${number.format(seconds / 3600)} h`;
}

export function ago(unix) {
  const gone = Date.now() / 1000 - unix;
  if (gone < 60) return "just now";
  if (gone < 3600) return `${plural(Math.round(gone / 60), "minute")} ago`;
  if (gone < 86400) return `${plural(Math.round(gone / 3600), "hour")} ago`;
  if (gone < 7 * 86400) return `${plural(Math.round(gone / 86400), "day")} ago`;
  return new Date(unix * 1000).toLocaleDateString("en", { day: "numeric", month: "short", year: "numeric" });
}

export const bytes = (count) => (count > 1e9 ? `${number.format(count / 2 ** 30)} GB` : `${Math.round(count / 2 ** 20)} MB`);

export const fits = (text, most) => (text.length > most ? `${text.slice(0, most - 1).trimEnd()}…` : text);

const TASKS = {
  generate: "from words", animate: "from pictures", extend: "made longer", edit: "remixed", loop: "looped",
  connect: "blended", fill: "partly repainted", storyboard: "storyboard",
};
export const task = (name) => TASKS[name] ?? name;

const UNNAMED = { extend: "A longer cut", loop: "A loop", connect: "A blend of two", fill: "A part repainted", animate: "Out of pictures" };

// What a video is called: its words; of a storyboard, those of its shots.
export function title(video) {
  if (video.shots?.length) return video.shots.map(([text]) => text).join(" → ");
  return (video.prompt || "").trim() || UNNAMED[video.task] || "A video";
}

const REFUSED = {
  violence: "It seems to ask for cruelty shown up close.",
  sexual: "It seems to ask for something sexual.",
  hate: "It seems to ask for imagery that puts people down.",
  figures: "It seems to ask for the likeness of a real person. Describe someone of your own instead.",
  characters: "It seems to ask for somebody else’s character or brand. Describe one of your own instead.",
  news: "It seems to ask for news that never happened, shown as if it had.",
  minors: "This is not made here, in any words.",
};

// Why something was not made: a heading and a sentence or two, without blame.
export function explained({ code, message }) {
  const kind = Object.keys(REFUSED).find((name) => new RegExp(`\\b${name}\\b`).test(message));
  if (code === "moderation_blocked" && /frame review/.test(message)) {
    return {
      gentle: true,
      heading: "Held back after it was made",
      text: "The automatic review saw something in the pictures that it does not let through, so nobody has seen them. It is careful and sometimes wrong; another seed often helps.",
    };
  }
  if (code === "moderation_blocked" && /could not be reviewed/.test(message)) {
    return { gentle: true, heading: "It could not be reviewed", text: "Nothing is shown that was not looked at first. Please try once more." };
  }
  if (code === "moderation_blocked") {
    return {
      gentle: true,
      heading: "Not made here",
      text: `${REFUSED[kind] ?? "It seems to ask for something that is not made here."} This check is automatic and sometimes wrong; other words may pass, and whoever runs this server can see what was refused and put it right.`,
    };
  }
  if (code === "cancelled") return { gentle: true, heading: "Cancelled", text: "You stopped this one." };
  if (code === "out_of_memory") {
    return { heading: "Too large for this machine", text: "There was not enough memory. Fewer seconds or a smaller size will do." };
  }
  return { heading: "That did not work", text: sentence(message) };
}

export function sentence(text = "") {
  const whole = text.trim();
  return whole ? whole[0].toUpperCase() + whole.slice(1) : "Something went wrong on the server.";
}
