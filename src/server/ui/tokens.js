// Tokens of an answer: which part of the text each of them made, and what else the model considered.

// One entry of a reply's logprobs.content: {token, logprob, bytes, top_logprobs}.
class TokenMap {
  constructor(entries, text) {
    this.entries = entries;
    this.ends = [];  // of entry i: where its part of `text` ends, in UTF-16 units
    const decoder = new TextDecoder();
    let whole = "";
    for (const entry of entries) {
      whole += decoder.decode(Uint8Array.from(entry.bytes), {stream: true});
      this.ends.push(whole.length);
    }
    // Reasoning and markers may come before the text. Without a match there is nothing to show.
    const start = text === "" ? -1 : whole.indexOf(text);
    this.valid = start >= 0;
    for (let i = 0; i < this.ends.length; ++i) this.ends[i] -= start;
  }

  // The entry whose part holds the character at `offset`.
  at(offset) {
    let low = 0;
    let high = this.ends.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.ends[middle] > offset) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  level(index) {
    const p = Math.exp(this.entries[index].logprob);
    return p < 0.1 ? 0 : p < 0.3 ? 1 : p < 0.6 ? 2 : p < 0.85 ? 3 : 4;
  }
}

function visible(token) {
  return token === "" ? "∅" : token.replace(/ /g, "␣").replace(/\n/g, "↵").replace(/\t/g, "⇥").replace(/\r/g, "␍");
}

function showTip(span, entry) {
  const tip = $("tip");
  const rows = [...(entry.top_logprobs || [])];
  if (!rows.some((row) => row.token === entry.token)) rows.push(entry);
  tip.replaceChildren(...rows.map((row) => {
    const p = Math.exp(row.logprob);
    const fill = element("i");
    fill.style.width = `${100 * p}%`;
    return element("div", {class: row.token === entry.token ? "row chosen" : "row"}, element("span", {}, visible(row.token)),
                   element("span", {class: "bar"}, fill), element("span", {}, `${(100 * p).toFixed(1)}%`));
  }));
  tip.hidden = false;
  const box = (span.getClientRects()[0] || span.getBoundingClientRect());
  const left = Math.max(8, Math.min(box.left, innerWidth - tip.offsetWidth - 8));
  const above = box.top - tip.offsetHeight - 6;
  tip.style.left = `${left}px`;
  tip.style.top = `${above > 8 ? above : box.bottom + 6}px`;
}

function hideTip() {
  $("tip").hidden = true;
  for (const span of document.querySelectorAll(".token.current")) span.classList.remove("current");
}

// Hover, and arrow keys while the answer has the focus. `map` gives the present TokenMap or null.
function watchTokens(body, map) {
  const open = (span) => {
    hideTip();
    if (!span || !map()) return;
    span.classList.add("current");
    showTip(span, map().entries[Number(span.dataset.token)]);
  };
  body.addEventListener("mouseover", (event) => open(event.target.closest(".token")));
  body.addEventListener("mouseleave", hideTip);
  body.addEventListener("blur", hideTip);
  body.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    const spans = [...body.querySelectorAll(".token")];
    if (spans.length === 0) return;
    event.preventDefault();
    const step = event.key === "ArrowRight" ? 1 : -1;
    const current = spans.findIndex((span) => span.classList.contains("current"));
    const next = spans[Math.max(0, Math.min(spans.length - 1, current + step))];
    next.scrollIntoView({block: "nearest"});
    open(next);
    const entry = map().entries[Number(next.dataset.token)];
    announce(`${entry.token}, ${(100 * Math.exp(entry.logprob)).toFixed(0)} percent`);
  });
}
