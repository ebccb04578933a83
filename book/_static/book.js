(() => {
  // A formula that is wider than its column scrolls. Let the keyboard reach it too. All are measured before one is
  // changed: the page is laid out once.
  const reach = () => {
    const boxes = [...document.querySelectorAll('mjx-container[display="true"]')];
    const wide = boxes.map((box) => box.scrollWidth > box.clientWidth);
    boxes.forEach((box, i) => {
      if (wide[i]) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", "Formula, scrolls sideways");
      } else if (box.hasAttribute("tabindex")) {
        for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      }
    });
  };
  let asked = false;
  const ask = () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      reach();
    });
  };
  // Fonts that come late, a drop-down that opens, a turned phone: whatever changes a formula's room or width asks again.
  const sizes = new ResizeObserver(ask);
  window.addEventListener("load", () => {
    const typeset = window.MathJax?.startup?.promise;
    (typeset ?? Promise.resolve()).then(() => {
      for (const box of document.querySelectorAll('mjx-container[display="true"]')) {
        sizes.observe(box); // which asks for the first time
        if (box.firstElementChild) sizes.observe(box.firstElementChild);
      }
    });
  });
  window.addEventListener("resize", ask);

  // Names that the theme leaves out, for those who listen to the page.
  document.addEventListener("DOMContentLoaded", () => {
    for (const fold of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
      const title = fold.closest("li")?.querySelector("a")?.textContent.trim() ?? "this chapter";
      fold.setAttribute("aria-label", `Sections of ${title}`);
    }
    for (const list of document.querySelectorAll('.citation-list[role="list"]')) list.removeAttribute("role");
  });

  // A link to something inside a closed block opens the block, also on load. On paper everything is open.
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const target = id && document.getElementById(id);
    if (!target) return;
    let closed = false;
    for (let box = target.closest("details"); box; box = box.parentElement?.closest("details")) {
      closed ||= !box.open;
      box.open = true;
    }
    if (closed) target.scrollIntoView();
  };
  window.addEventListener("hashchange", reveal);
  document.addEventListener("DOMContentLoaded", reveal);
  document.addEventListener("click", (event) => {
    // The same link twice changes no hash.
    if (event.target.closest?.('a[href*="#"]')) setTimeout(reveal);
  });
  let opened = [];
  window.addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details.dlp-deeper:not([open])")];
    for (const box of opened) box.open = true;
  });
  window.addEventListener("afterprint", () => {
    for (const box of opened) box.open = false;
  });
})();
