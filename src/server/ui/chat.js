// The conversation: a list of {role: "user", text} and {role: "assistant", versions, shown}. A version is one try of an answer:
// {text, reasoning, entries (logprobs), note, failure, done}. The page is drawn anew when the list changes; while an answer streams only its body is.

const chat = {messages: [], abort: null, editing: -1};

const versionOf = (message) => message.versions[message.shown];

function saveChat() {
  const plain = ({text, reasoning, note, failure}) => ({text, reasoning, note, failure, entries: [], done: true});
  store("chat", chat.messages.map((m) => (m.role === "user" ? m : {...m, versions: m.versions.map(plain)})));
}

function atBottom() {
  const log = $("log");
  return log.scrollHeight - log.scrollTop - log.clientHeight < 60;
}

function drawChat(focusPrompt = false) {
  hideTip();
  $("log").replaceChildren(...chat.messages.map((message, index) => (message.role === "user" ? userArticle(message, index) : assistantArticle(message, index))));
  $("log").hidden = chat.messages.length === 0;
  $("empty").hidden = chat.messages.length > 0;
  $("send").textContent = chat.abort ? "Stop" : "Send";
  $("send").classList.toggle("stops", chat.abort !== null);
  if (focusPrompt) $("prompt").focus();
}

function userArticle(message, index) {
  if (chat.editing === index) return editorArticle(message, index);
  return element("article", {class: "user", "aria-label": "You"}, element("div", {class: "body"}, message.text),
                 element("div", {class: "actions"}, button("Edit", () => edit(index), "Change this message and answer anew"), copyButton(() => message.text)));
}

function editorArticle(message, index) {
  const field = element("textarea", {"aria-label": "Edit the message"});
  field.value = message.text;
  const leave = () => { chat.editing = -1; drawChat(true); };
  const send = () => {
    const text = field.value.trim();
    if (text === "") return;
    chat.editing = -1;
    chat.messages.splice(index);
    ask(text);
  };
  field.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { event.stopPropagation(); leave(); }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); send(); }
  });
  queueMicrotask(() => field.focus());
  return element("article", {class: "user"}, element("div", {class: "editor"}, field, element("div", {}, button("Cancel", leave), button("Send", send))));
}

function copyButton(text) {
  const node = button("Copy", async () => {
    await navigator.clipboard.writeText(text());
    node.textContent = "Copied";
    setTimeout(() => { node.textContent = "Copy"; }, 1200);
  });
  return node;
}

function assistantArticle(message, index) {
  const version = versionOf(message);
  const body = element("div", {class: "body", tabindex: "0", "aria-label": "Answer"});
  watchTokens(body, () => version.map);
  drawBody(body, version);
  const actions = element("div", {class: "actions"});
  if (message.versions.length > 1) {
    const show = (step) => () => { message.shown += step; saveChat(); drawChat(); };
    const back = button("‹", show(-1), "Earlier answer");
    const forth = button("›", show(1), "Later answer");
    back.disabled = chat.abort !== null || message.shown === 0;
    forth.disabled = chat.abort !== null || message.shown === message.versions.length - 1;
    actions.append(element("span", {class: "versions"}, back, `${message.shown + 1}/${message.versions.length}`, forth));
  }
  if (version.done) actions.append(button("Retry", () => retry(index), "Answer again"), copyButton(() => version.text));
  if (version.note) actions.append(element("span", {class: "note"}, version.note));
  return element("article", {class: "assistant", "aria-label": "Millrace", "data-index": index}, body, actions);
}

function drawBody(body, version) {
  const parts = [];
  if (version.reasoning) {
    const details = element("details", {class: "reasoning"}, element("summary", {}, "Reasoning"), element("div", {}, version.reasoning));
    details.open = version.open ?? version.text === "";
    details.firstChild.addEventListener("click", () => { version.open = !details.open; });
    parts.push(details);
  }
  const shown = element("div", {class: version.done ? "text" : "text live"});
  version.map = version.entries.length > 0 ? new TokenMap(version.entries, version.text) : null;
  if (version.map && !version.map.valid) version.map = null;
  if (version.text === "" && !version.done) shown.classList.add("waiting");
  else new Markdown(version.text, version.map).render(shown);
  parts.push(shown);
  if (version.failure) parts.push(element("p", {class: "failure", role: "alert"}, version.failure));
  body.replaceChildren(...parts);
}

// Draws what streams in, at most once a frame and never more than a quarter of the time.
class LiveBody {
  constructor(index, version) {
    this.index = index;
    this.version = version;
    this.pending = false;
    this.pause = 0;
  }
  update() {
    if (this.pending) return;
    this.pending = true;
    setTimeout(() => requestAnimationFrame(() => this.draw()), this.pause);
  }
  draw() {
    this.pending = false;
    const body = document.querySelector(`article[data-index="${this.index}"] .body`);
    if (!body || this.version.done) return;
    const start = performance.now();
    const follow = atBottom();
    drawBody(body, this.version);
    if (follow) $("log").scrollTop = $("log").scrollHeight;
    this.pause = 3 * (performance.now() - start);
  }
}

function ask(text) {
  chat.messages.push({role: "user", text});
  chat.messages.push({role: "assistant", versions: [], shown: -1});
  answer(chat.messages.length - 1);
}

function retry(index) {
  if (chat.abort) return;
  chat.messages.splice(index + 1);
  answer(index);
}

function edit(index) {
  if (chat.abort) return;
  chat.editing = index;
  drawChat();
}

function conversationBefore(index) {
  return chat.messages.slice(0, index).map((m) => (m.role === "user" ? {role: "user", content: m.text} : {role: "assistant", content: versionOf(m).text}));
}

async function answer(index) {
  const message = chat.messages[index];
  const version = {text: "", reasoning: "", entries: [], note: "", failure: "", done: false, map: null};
  message.versions.push(version);
  message.shown = message.versions.length - 1;
  chat.abort = new AbortController();
  drawChat();
  $("log").scrollTop = $("log").scrollHeight;
  announce("Answering");
  try {
    await receive(version, index);
  } catch (error) {
    if (error.name === "AbortError") version.note = "stopped";
    else if (error.status === 401) askForKey().then(() => retry(index));
    else version.failure = error.retryAfter ? `${error.message} Try again in ${error.retryAfter} s.` : error.message;
  }
  version.done = true;
  chat.abort = null;
  const follow = atBottom();
  saveChat();
  drawChat(document.activeElement === document.body);
  if (follow) $("log").scrollTop = $("log").scrollHeight;
  announce(version.failure || `Answer complete. ${version.text.slice(0, 2000)}`);
}

async function receive(version, index) {
  const live = new LiveBody(index, version);
  const times = {start: performance.now(), first: 0, last: 0};  // of the request, its first and its last text
  let finish = "";
  for await (const event of streamEvents("v1/chat/completions", requestBody(conversationBefore(index)), chat.abort.signal)) {
    const choice = event.choices[0];
    if (choice) {
      const before = version.text.length + version.reasoning.length;
      version.text += choice.delta.content || "";
      version.reasoning += choice.delta.reasoning_content || "";
      for (const entry of choice.logprobs?.content || []) version.entries.push(entry);
      for (const part of choice.delta.tool_calls || []) version.text += `${part.function.name ? `\n${part.function.name} ` : ""}${part.function.arguments || ""}`;
      if (version.text.length + version.reasoning.length > before) times.last = performance.now();
      times.first = times.first || times.last;
      finish = choice.finish_reason || finish;
      live.update();
    }
    if (event.usage) version.note = noteOf(event.usage, times, finish);
  }
}

// Text that came in one piece, or faster than this, says nothing about the model's rate.
const kLeastRateMs = 100;

function noteOf(usage, times, finish) {
  const tokens = usage.completion_tokens;
  const parts = [`${count(tokens)} tokens`];
  if (tokens > 1 && times.last - times.first >= kLeastRateMs) parts.push(`${count(((tokens - 1) * 1000) / (times.last - times.first))}/s`);
  if (times.first) parts.push(`first after ${count(times.first - times.start)} ms`);
  const cached = usage.prompt_tokens_details?.cached_tokens || 0;
  parts.push(`prompt ${count(usage.prompt_tokens)}${cached ? `, ${count(cached)} from the cache` : ""}`);
  if (finish === "length") parts.push("cut off at the length limit");
  return parts.join(" · ");
}

function newChat() {
  if (chat.abort) chat.abort.abort();
  chat.messages = [];
  chat.editing = -1;
  saveChat();
  drawChat(true);
}
