(() => {
  // A formula that is wider than its column scrolls. Let the keyboard reach it too.
  const reach = () => {
    for (const box of document.querySelectorAll('mjx-container[display="true"]')) {
      if (box.scrollWidth > box.clientWidth) {
        box.tabIndex = 0;
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", "Formula, scrolls sideways");
      } else if (box.hasAttribute("tabindex")) {
        for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
      }
    }
  };
  // Fonts that come late, a drop-down that opens, a turned phone: whatever changes a formula's room or width asks again.
  const sizes = new ResizeObserver(() => requestAnimationFrame(reach));
  window.addEventListener("load", () => {
    const typeset = window.MathJax?.startup?.promise;
    (typeset ?? Promise.resolve()).then(() => {
      reach();
      for (const box of document.querySelectorAll('mjx-container[display="true"]')) {
        sizes.observe(box);
        if (box.firstElementChild) sizes.observe(box.firstElementChild);
      }
    });
  });
  window.addEventListener("resize", reach);

  // Names that the theme leaves out, for those who listen to the page.
  document.addEventListener("DOMContentLoaded", () => {
    for (const fold of document.querySelectorAll("summary:has(> .toctree-toggle)")) {
      const title = fold.closest("li")?.querySelector("a")?.textContent.trim() ?? "this chapter";
      fold.setAttribute("aria-label", `Sections of ${title}`);
    }
    for (const list of document.querySelectorAll('.citation-list[role="list"]')) list.removeAttribute("role");
  });
})();
