// Comfort only: every page does all it does without this.
"use strict";

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  if (!source || !navigator.clipboard) continue;
  const label = button.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.dataset.value || source.textContent.trim());
      button.textContent = "Copied";
    } catch {
      button.textContent = "Copy by hand";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}
