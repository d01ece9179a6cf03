// Start: wires the page together.

const kStarters = ["What is the capital of France?", "Tell me a short story about a mill.", "Why is the sky blue?", "What can you help me with?"];
const kThemes = ["system", "light", "dark"];

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  let theme = load("theme", "system");
  const apply = () => {
    document.documentElement.dataset.theme = theme === "system" ? (dark.matches ? "dark" : "light") : theme;
    $("theme").textContent = theme[0].toUpperCase() + theme.slice(1);
    $("theme").setAttribute("aria-label", `Theme: ${theme}`);
  };
  $("theme").addEventListener("click", () => {
    theme = kThemes[(kThemes.indexOf(theme) + 1) % kThemes.length];
    store("theme", theme);
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}

function startToggle(name) {
  const toggle = $(`toggle-${name}`);
  const show = (open) => {
    $(name).hidden = !open;
    toggle.setAttribute("aria-expanded", String(open));
  };
  toggle.addEventListener("click", () => {
    show($(name).hidden);
    store(`open.${name}`, !$(name).hidden);
  });
  show(innerWidth > 1020 && load(`open.${name}`, true));
}

function startComposer() {
  const prompt = $("prompt");
  const fit = () => {
    prompt.style.height = "auto";
    prompt.style.height = `${prompt.scrollHeight}px`;
  };
  const send = () => {
    if (chat.abort) return chat.abort.abort();
    const text = prompt.value.trim();
    if (text === "") return;
    prompt.value = "";
    fit();
    chat.editing = -1;
    ask(text);
  };
  prompt.addEventListener("input", fit);
  prompt.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      if (!chat.abort) send();
    }
    if (event.key === "ArrowUp" && prompt.value === "") {
      const last = chat.messages.findLastIndex((message) => message.role === "user");
      if (last >= 0) { event.preventDefault(); edit(last); }
    }
  });
  $("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
  $("starters").append(...kStarters.map((text) => element("li", {}, button(text, () => ask(text)))));
}

function startKeys() {
  $("new-chat").addEventListener("click", newChat);
  $("help").addEventListener("click", () => $("shortcuts").showModal());
  document.addEventListener("keydown", (event) => {
    const typing = /^(TEXTAREA|INPUT)$/.test(document.activeElement.tagName);
    const chord = event.ctrlKey && event.shiftKey;
    if (document.querySelector("dialog[open]")) return;
    if (event.key === "Escape" && chat.abort) chat.abort.abort();
    else if (chord && event.code === "KeyO") { event.preventDefault(); newChat(); }
    else if (chord && event.code === "KeyE") {
      event.preventDefault();
      const last = chat.messages.length - 1;
      if (last >= 0) retry(last);
    } else if (event.key === "/" && !typing) { event.preventDefault(); $("prompt").focus(); }
    else if (event.key === "?" && !typing) $("shortcuts").showModal();
  });
}

async function showModel() {
  try {
    const model = (await getJson("v1/models")).data[0];
    $("model").textContent = model.id;
    $("model").title = `${model.id}, context ${count(model.max_model_len)}`;
    document.title = `${model.id} · Millrace`;
    const limit = document.getElementById("max_tokens");
    limit.max = model.max_model_len;
  } catch (error) {
    if (error.status !== 401) return;
    await askForKey();
    await showModel();
  }
}

startTheme();
startSettings();
startToggle("settings");
startToggle("panel");
startComposer();
startKeys();
chat.messages = load("chat", []).filter((message) => message.role === "user" || message.versions?.length > 0);
drawChat();
$("log").scrollTop = $("log").scrollHeight;
showModel();
poll();
