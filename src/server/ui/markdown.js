// A small Markdown: paragraphs, headings, lists, quotes, tables, rules, fenced code; emphasis, code, http links. It builds nodes, never HTML
// text. Every piece of text knows its place in the source, so that tokens can be found again in what is shown.

const kMaxDepth = 8;

class Markdown {
  // tokens: a valid TokenMap, or null.
  constructor(source, tokens) {
    this.source = source;
    this.tokens = tokens;
  }

  render(into) {
    const lines = [];
    let at = 0;
    for (const text of this.source.split("\n")) {
      lines.push({text, at});
      at += text.length + 1;
    }
    this.blocks(lines, into, 0, false);
  }

  // A line is {text, at}: what is left of it inside its containers, and the place of text[0] in the source.
  blocks(lines, into, depth, tight) {
    for (let i = 0; i < lines.length;) {
      const {text} = lines[i];
      let match;
      if (text.trim() === "") ++i;
      else if ((match = kFence.exec(text))) i = this.fence(lines, i, match, into);
      else if ((match = kHeading.exec(text))) i = this.heading(lines, i, match, into);
      else if (kRule.test(text)) { into.append(element("hr")); ++i; }
      else if (kQuote.test(text) && depth < kMaxDepth) i = this.quote(lines, i, into, depth);
      else if ((match = kItem.exec(text)) && depth < kMaxDepth) i = this.list(lines, i, match, into, depth);
      else if (text.includes("|") && i + 1 < lines.length && kTable.test(lines[i + 1].text)) i = this.table(lines, i, into);
      else i = this.paragraph(lines, i, into, tight);
    }
  }

  fence(lines, i, match, into) {
    const [, mark, language] = match;
    let end = i + 1;
    while (end < lines.length && !lines[end].text.trim().startsWith(mark)) ++end;
    const code = element("code");
    for (let k = i + 1; k < end; ++k) {
      const {text, at} = lines[k];
      this.emit(code, text + (k + 1 < end ? "\n" : ""), (index) => at + index);
    }
    const copy = button("Copy", () => navigator.clipboard.writeText(code.textContent));
    into.append(element("div", {class: "code"}, element("header", {}, language || "code", element("span", {class: "spring"}), copy),
                        element("pre", {tabindex: "0"}, code)));
    return end + 1;
  }

  heading(lines, i, match, into) {
    const node = element(`h${Math.min(match[1].length + 2, 5)}`);
    const skip = match[0].length - match[2].length;
    this.inline([{text: lines[i].text.slice(skip).replace(/\s+#*\s*$/, ""), at: lines[i].at + skip}], node);
    into.append(node);
    return i + 1;
  }

  quote(lines, i, into, depth) {
    const inner = [];
    for (; i < lines.length && kQuote.test(lines[i].text); ++i) {
      const skip = kQuote.exec(lines[i].text)[0].length;
      inner.push({text: lines[i].text.slice(skip), at: lines[i].at + skip});
    }
    const node = element("blockquote");
    this.blocks(inner, node, depth + 1, false);
    into.append(node);
    return i;
  }

  list(lines, i, first, into, depth) {
    const ordered = /\d/.test(first[2]);
    const node = element(ordered ? "ol" : "ul", ordered ? {start: String(parseInt(first[2], 10))} : {});
    while (i < lines.length) {
      const match = kItem.exec(lines[i].text);
      if (!match || /\d/.test(match[2]) !== ordered) break;
      const indent = match[0].length;
      const item = [{text: lines[i].text.slice(indent), at: lines[i].at + indent}];
      let loose = false;
      for (++i; i < lines.length; ++i) {
        const {text, at} = lines[i];
        const blank = text.trim() === "";
        const inside = text.startsWith(" ".repeat(Math.min(indent, 2))) && !blank;
        const previousBlank = item[item.length - 1].text.trim() === "";
        if (!blank && !inside && (previousBlank || kItem.test(text) || startsBlock(text))) break;
        loose = loose || (inside && previousBlank && !kItem.test(text.trimStart()));
        const skip = inside ? Math.min(indent, text.length - text.trimStart().length) : 0;
        item.push({text: text.slice(skip), at: at + skip});
      }
      const li = element("li");
      this.blocks(item, li, depth + 1, !loose);
      node.append(li);
    }
    into.append(node);
    return i;
  }

  table(lines, i, into) {
    const row = ({text, at}, tag) => {
      const tr = element("tr");
      let from = text.startsWith("|") ? 1 : 0;
      const end = text.trimEnd().endsWith("|") ? text.trimEnd().length - 1 : text.length;
      while (from <= end) {
        let to = text.indexOf("|", from);
        if (to < 0 || to > end) to = end;
        const cell = element(tag);
        const lead = text.slice(from, to).length - text.slice(from, to).trimStart().length;
        this.inline([{text: text.slice(from, to).trim(), at: at + from + lead}], cell);
        tr.append(cell);
        from = to + 1;
      }
      return tr;
    };
    const body = element("tbody");
    const head = element("thead", {}, row(lines[i], "th"));
    for (i += 2; i < lines.length && lines[i].text.includes("|"); ++i) body.append(row(lines[i], "td"));
    into.append(element("table", {}, head, body));
    return i;
  }

  paragraph(lines, i, into, tight) {
    const first = i++;
    while (i < lines.length && lines[i].text.trim() !== "" && !startsBlock(lines[i].text) && !kItem.test(lines[i].text)) ++i;
    const node = tight ? into : element("p");
    this.inline(lines.slice(first, i), node);
    if (!tight) into.append(node);
    return i;
  }

  inline(lines, into) {
    const starts = [];
    let text = "";
    for (const line of lines) {
      if (text !== "") text += "\n";
      starts.push({index: text.length, at: line.at});
      text += line.text;
    }
    const place = (index) => {
      let k = starts.length - 1;
      while (k > 0 && starts[k].index > index) --k;
      return starts[k].at + index - starts[k].index;
    };
    this.spans(text, 0, text.length, place, into, 0);
  }

  spans(text, from, to, place, into, depth) {
    const unclosed = new Set();  // delimiters without a closing one in the rest: looked for once, so that the time is linear
    let plain = from;
    const flush = (end) => {
      if (end > plain) this.emit(into, text.slice(plain, end), (k) => place(plain + k));
    };
    for (let i = from; i < to;) {
      const found = this.spanAt(text, i, to, unclosed, depth);
      if (!found) {
        ++i;
        continue;
      }
      flush(i);
      if (found.node === null) this.emit(into, text.slice(found.from, found.to), (k) => place(found.from + k));
      else if (found.nested) this.spans(text, found.from, found.to, place, found.node, depth + 1);
      else this.emit(found.node, text.slice(found.from, found.to), (k) => place(found.from + k));
      if (found.node !== null) into.append(found.node);
      i = plain = found.end;
    }
    flush(to);
  }

  // What begins at text[i], if anything: {node, from, to: its text, end, nested: has spans inside}.
  spanAt(text, i, to, unclosed, depth) {
    const c = text[i];
    if (c === "\n") return {node: element("br"), from: i, to: i, end: i + 1};
    if (c === "\\" && i + 1 < to && /[!-/:-@[-`{-~]/.test(text[i + 1])) return {node: null, from: i + 1, to: i + 2, end: i + 2};
    if (c === "`") {
      const mark = /`+/.exec(text.slice(i, Math.min(to, i + 32)))[0];
      const end = closing(text, i + mark.length, to, mark, unclosed);
      return end < 0 ? null : {node: element("code"), from: i + mark.length, to: end, end: end + mark.length};
    }
    if ((c === "*" || c === "_" || c === "~") && depth < kMaxDepth) {
      const mark = text.startsWith(c + c, i) ? c + c : c;
      if (mark === "~" || i + mark.length >= to || /\s/.test(text[i + mark.length])) return null;
      if (c === "_" && i > 0 && /\w/.test(text[i - 1])) return null;
      const end = closing(text, i + mark.length + 1, to, mark, unclosed);
      if (end < 0) return null;
      const node = element(c === "~" ? "del" : mark.length === 2 ? "strong" : "em");
      return {node, from: i + mark.length, to: end, end: end + mark.length, nested: true};
    }
    if (c === "[" || (c === "h" && text.startsWith("http", i) && (i === 0 || !/\w/.test(text[i - 1])))) {
      const pattern = c === "[" ? kLink : kUrl;
      pattern.lastIndex = i;
      const match = pattern.exec(text);
      if (!match || i + match[0].length > to) return null;
      const node = element("a", {href: match[2] || match[0], target: "_blank", rel: "noopener noreferrer nofollow"});
      const start = c === "[" ? i + 1 : i;
      return {node, from: start, to: start + (c === "[" ? match[1].length : match[0].length), end: i + match[0].length, nested: c === "[" && depth < kMaxDepth};
    }
    return null;
  }

  // Appends text, cut into spans where tokens meet. place(k): where text[k] is in the source.
  emit(into, text, place) {
    if (!this.tokens) {
      into.append(text);
      return;
    }
    for (let from = 0; from < text.length;) {
      const token = this.tokens.at(place(from));
      let to = from + 1;
      while (to < text.length && this.tokens.at(place(to)) === token) ++to;
      into.append(element("span", {class: "token", "data-token": token, "data-level": this.tokens.level(token)}, text.slice(from, to)));
      from = to;
    }
  }
}

const kFence = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const kHeading = /^ {0,3}(#{1,6})[ \t]+(.*)$/;
const kRule = /^ {0,3}(?:-[ \t]*){3,}$|^ {0,3}(?:\*[ \t]*){3,}$|^ {0,3}(?:_[ \t]*){3,}$/;
const kQuote = /^ {0,3}> ?/;
const kItem = /^( {0,3})([-*+]|\d{1,9}[.)])[ \t]+/;
const kTable = /^[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const kLink = /\[([^\]\n]{1,500})\]\((https?:\/\/[^()\s]{1,2000})\)/y;
const kUrl = /https?:\/\/[^\s<>"')\]*]{1,2000}/y;

function startsBlock(text) {
  return kFence.test(text) || kHeading.test(text) || kQuote.test(text) || kRule.test(text);
}

function closing(text, from, to, mark, unclosed) {
  if (unclosed.has(mark)) return -1;
  for (let end = text.indexOf(mark, from); end >= 0 && end + mark.length <= to; end = text.indexOf(mark, end + 1)) {
    const code = mark[0] === "`";
    const exact = text[end + mark.length] !== mark[0] && text[end - 1] !== mark[0];
    if (exact && (code || !/\s/.test(text[end - 1])) && (mark[0] !== "_" || !/\w/.test(text[end + mark.length] || ""))) return end;
  }
  unclosed.add(mark);
  return -1;
}
