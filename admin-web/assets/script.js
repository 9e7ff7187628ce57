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

// What a form would come to, asked of its own preview while it is filled in.
for (const form of document.querySelectorAll("form[data-preview]")) {
  let timer;
  let asking;
  const ask = async () => {
    asking?.abort();
    asking = new AbortController();
    try {
      const sent = { method: "POST", body: new URLSearchParams(new FormData(form)), signal: asking.signal };
      const answer = await fetch(form.dataset.preview, sent);
      // What cannot be read yet is said when the form is sent.
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const [shown, here] = [page, document].map((of) => of.getElementById("preview"));
      if (shown && here) here.replaceChildren(...shown.childNodes);
    } catch {
      // Nothing is lost: the button still does it.
    }
  };
  form.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(ask, 400);
  });
}
