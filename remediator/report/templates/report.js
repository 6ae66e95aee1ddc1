(() => {
  const form = document.getElementById("filters");
  if (!form) return;
  const get = (id) => document.getElementById(id);
  const items = [...document.querySelectorAll(".incident")].map((node) => ({
    node, text: node.textContent.toLowerCase(),
  }));
  const apply = () => {
    const words = get("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const cause = get("cause").value, outcome = get("outcome").value;
    let shown = 0;
    for (const { node, text } of items) {
      const fits = (!cause || node.dataset.cause === cause)
        && (!outcome || node.dataset.outcome === outcome)
        && words.every((word) => text.includes(word));
      node.hidden = !fits;
      shown += fits ? 1 : 0;
    }
    get("count").textContent = `${shown} of ${items.length} shown`;
  };
  form.hidden = false;
  form.addEventListener("input", apply);
  form.addEventListener("submit", (event) => event.preventDefault());
  get("open").addEventListener("click", () => {
    const seen = items.filter(({ node }) => !node.hidden);
    const open = seen.some(({ node }) => !node.open);
    for (const { node } of seen) node.open = open;
    get("open").textContent = open ? "Close all shown" : "Open all shown";
  });
  const reach = (node) => (node.tabIndex = node.scrollWidth > node.clientWidth ? 0 : -1);
  const all = () => document.querySelectorAll(".scroll").forEach(reach);
  addEventListener("resize", all);
  document.addEventListener("toggle", (event) => {
    event.target.querySelectorAll(".scroll").forEach(reach);
  }, true);
  all();
  apply();
})();
