// Search by sections, with MiniSearch (_static/vendor). The index is searchindex.js, written by _ext/search_sections.py.
(() => {
  const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  const isCJK = (word) => /[\p{Script=Han}\p{Script=Hangul}]/u.test(word);

  // "U-Net" is one word, unet, and its parts are words too; Chinese and Korean are cut into pairs of letters.
  const tokenize = (text) => {
    const words = [];
    for (const word of plain(text).match(/[\p{L}\p{N}]+(?:[-‑'’][\p{L}\p{N}]+)*/gu) ?? []) {
      const parts = word.split(/[-‑'’]/);
      if (parts.length > 1) words.push(parts.join(""));
      for (const part of parts) {
        if (isCJK(part)) {
          const letters = [...part];
          for (let i = 0; i + 1 < letters.length; i++) words.push(letters[i] + letters[i + 1]);
          if (letters.length === 1) words.push(part);
        } else if (part.length > 1 || parts.length === 1) words.push(part);
      }
    }
    return words;
  };
  const stem = (word) => (word.length > 3 && !/[siu]s$/.test(word) ? word.replace(/s$/, "") : word);
  const same = (text) => tokenize(text).map(stem).join(" ");

  let engine, names;
  const build = () => {
    if (engine) return;
    const sections = window.dlpSections;
    engine = new MiniSearch({
      fields: ["terms", "title", "page", "text"],
      storeFields: ["url"],
      tokenize,
      processTerm: (word) => stem(word) || null,
      searchOptions: {
        boost: { terms: 8, title: 5, page: 2, text: 1 },
        prefix: (word) => word.length > 2,
        fuzzy: (word) => (word.length > 5 && !isCJK(word) ? 0.2 : false),
        weights: { prefix: 0.3, fuzzy: 0.15 },
      },
    });
    names = new Map(); // the names of a term, as they are typed: the sections that teach it
    sections.forEach((section, id) => {
      engine.add({ ...section, id, terms: section.terms.flat().join(" · ") });
      section.terms.forEach((forms, k) => {
        for (const form of forms.filter(Boolean)) {
          const key = same(form);
          if (!names.has(key)) names.set(key, []);
          names.get(key).push({ id, name: forms[0], says: section.says[k] });
        }
      });
    });
  };

  // Sections in the order of their worth. One that teaches exactly the term that was typed comes first.
  const search = (query) => {
    build();
    const taught = names.get(same(query)) ?? [];
    let found = engine.search(query, { combineWith: "AND" });
    if (found.length < 5) {
      const have = new Set(found.map((one) => one.id));
      found = found.concat(engine.search(query, { combineWith: "OR" }).filter((one) => !have.has(one.id)));
    }
    const title = (id) => same(window.dlpSections[id].title);
    const worth = (one) => one.score * (title(one.id) === same(query) ? 4 : 1);
    const first = [...new Set(taught.map((one) => one.id))];
    const rest = found.filter((one) => !first.includes(one.id)).sort((a, b) => worth(b) - worth(a));
    return [...first, ...rest.slice(0, 30).map((one) => one.id)].map((id) => ({
      ...window.dlpSections[id],
      taught: taught.find((one) => one.id === id),
    }));
  };
  window.dlpSearch = search;

  // The sentence around the first word that was found, without a formula left in it.
  const excerpt = (text, query) => {
    const words = tokenize(query).map(stem);
    const low = plain(text);
    const at = words.map((word) => low.indexOf(word)).filter((place) => place >= 0);
    const start = Math.max(0, (at.length ? Math.min(...at) : 0) - 80);
    const from = start ? text.indexOf(" ", start) + 1 : 0;
    const piece = text.slice(from, from + 200);
    return (from ? "… " : "") + piece + (from + 200 < text.length ? " …" : "");
  };

  const show = (query) => {
    const box = document.getElementById("search-results");
    const make = (name, text = "", kind = "") => {
      const element = document.createElement(name);
      element.textContent = text;
      if (kind) element.className = kind;
      return element;
    };
    box.replaceChildren();
    if (!query.trim()) return;
    const found = search(query);
    const count = found.length === 1 ? "1 section" : `${found.length} sections`;
    const summary = make("p", found.length ? `${count} for “${query}”` : `Nothing was found for “${query}”.`, "search-summary");
    summary.setAttribute("role", "status");
    box.append(summary);
    if (!found.length) box.append(make("p", "Try one word of it, the English term, or the glossary."));
    const list = make("ol", "", "dlp-results");
    for (const one of found) {
      const item = make("li");
      const link = make("a", one.title || one.page);
      link.href = one.url;
      item.append(link);
      if (one.page) item.append(make("span", ` ${one.page}`, "dlp-where"));
      if (one.taught) {
        const says = make("p", "", "dlp-says");
        says.append(make("strong", `${one.taught.name}: `), document.createTextNode(one.taught.says));
        item.append(says);
      } else item.append(make("p", excerpt(one.text, query), "context"));
      list.append(item);
    }
    box.append(list);
  };

  document.addEventListener("DOMContentLoaded", () => {
    const query = new URLSearchParams(location.search).get("q") ?? "";
    const field = document.querySelector("#search-results")?.parentElement.querySelector("input[type=search]");
    if (field) field.value = query;
    if (document.getElementById("search-results")) show(query);
  });
})();
