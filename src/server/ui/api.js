// The server's API, as any other client would call it.

class ApiFailure extends Error {
  constructor(status, message, retryAfter) {
    super(message);
    this.status = status;
    this.retryAfter = retryAfter;
  }
}

let apiKey = sessionStorage.getItem("millrace.key") || "";

async function call(path, options = {}) {
  const headers = {...(apiKey ? {Authorization: `Bearer ${apiKey}`} : {}), ...(options.body ? {"Content-Type": "application/json"} : {})};
  let response;
  try {
    response = await fetch(path, {...options, headers, credentials: "omit"});
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiFailure(0, "The server can't be reached.");
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new ApiFailure(response.status, body?.error?.message || `The server answered ${response.status}.`, response.headers.get("Retry-After"));
}

const getJson = async (path) => (await call(path)).json();

// The objects of a stream of server-sent events, until [DONE].
async function* streamEvents(path, body, signal) {
  const response = await call(path, {method: "POST", body: JSON.stringify(body), signal});
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  while (true) {
    const {value, done} = await reader.read();
    if (done) throw new ApiFailure(0, "The server ended the answer early.");
    pending += value;
    const lines = pending.split("\n");
    pending = lines.pop();
    for (const line of lines) {
      if (!line.startsWith("data: ")) continue;
      if (line === "data: [DONE]") return;
      const event = JSON.parse(line.slice(6));
      if (event.error) throw new ApiFailure(500, event.error.message);
      yield event;
    }
  }
}

// Asks for the key; resolves when one was given.
function askForKey() {
  const dialog = $("key-dialog");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    $("key-form").onsubmit = () => {
      apiKey = $("key").value.trim();
      try {
        sessionStorage.setItem("millrace.key", apiKey);
      } catch {
        // Kept in memory then.
      }
      resolve();
    };
  });
}
