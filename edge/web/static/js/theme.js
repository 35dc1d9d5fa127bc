// Runs before the page is painted, so that a dark page is never white first.
(() => {
  const theme = localStorage.getItem("edge.theme");
  if (theme) document.documentElement.dataset.theme = theme;
})();
