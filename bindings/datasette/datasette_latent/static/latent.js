/* The rows are there at once. What is missing between them takes seconds, and comes by itself. */
document.addEventListener("DOMContentLoaded", async () => {
  const wait = document.getElementById("latent-wait");
  if (!wait) return;
  wait.hidden = false;
  try {
    const page = await (await fetch(wait.dataset.missing)).text();
    const found = new DOMParser().parseFromString(page, "text/html").getElementById("latent-found");
    const chosen = [...document.querySelectorAll("#latent-found input:checked")];
    document.getElementById("latent-found").replaceWith(found);
    for (const { name, value } of chosen) {
      const again = found.querySelector(`input[name="${name}"][value="${value}"]`);
      if (again) again.checked = true;
    }
  } catch (error) {
    wait.textContent = "What is missing could not be fetched: " + error;
  }
});
