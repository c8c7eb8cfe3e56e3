// Requests to our own server. What goes wrong is an ApiError with a sentence that can be shown.

export class ApiError extends Error {
  constructor(status, told) {
    super(told.message);
    this.status = status;
    this.code = told.code ?? "";
    this.param = told.param ?? "";
  }
}

export let onLockedOut = () => {};
export const whenLockedOut = (callback) => { onLockedOut = callback; };

async function failure(answer) {
  let told = { message: `The server answers ${answer.status}.` };
  try {
    told = (await answer.json()).error ?? told;
  } catch {
    // no envelope: something between us and the server answered
  }
  return new ApiError(answer.status, told);
}

export async function send(method, path, body, options = {}) {
  const form = body instanceof FormData;
  let answer;
  try {
    answer = await fetch(path, {
      method,
      body: body === undefined ? undefined : form ? body : JSON.stringify(body),
      headers: body === undefined || form ? {} : { "Content-Type": "application/json" },
      ...options,
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, { message: "The server does not answer. Is `worldreel serve` running?", code: "silent" });
  }
  if (answer.ok) return answer;
  const error = await failure(answer);
  if (error.status === 401 && error.code === "invalid_api_key") onLockedOut();
  throw error;
}

export const get = async (path, options) => (await send("GET", path, undefined, options)).json();
export const post = async (path, body, options) => (await send("POST", path, body, options)).json();
export const remove = async (path, options) => (await send("DELETE", path, undefined, options)).json();

export const media = {
  video: (id) => `/v1/videos/${id}/content`,
  still: (id) => `/v1/videos/${id}/content?variant=thumbnail`,
};

// Server-sent events over fetch: one function call for each; ends when the stream or `signal` does.
export async function listen(path, signal, heard) {
  const answer = await send("GET", path, undefined, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const blocks = (rest + value).split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      let event = "message";
      const data = [];
      for (const line of block.split("\n")) {
        if (line.startsWith("event: ")) event = line.slice(7);
        if (line.startsWith("data: ")) data.push(line.slice(6));
      }
      if (data.length) heard(event, JSON.parse(data.join("\n")));
    }
  }
}

// A form for an order of the studio: its JSON, and files as parts that it names.
export function order(fields, files = {}) {
  const form = new FormData();
  form.append("order", JSON.stringify(fields));
  for (const [name, file] of Object.entries(files)) form.append(name, file, file.name || name);
  return post("/studio/api/orders", form);
}
