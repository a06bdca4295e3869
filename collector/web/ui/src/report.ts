// The pages of reports: days that are filled in are chosen by that, and a button prints. Everything else is the server's.

const period = document.getElementById("period");
if (period instanceof HTMLSelectElement) {
  const days = document.querySelectorAll<HTMLElement>(".day-field");
  const show = (): void => {
    for (const field of days) field.hidden = period.value !== "days";
  };
  period.addEventListener("change", show);
  show();
}

const printer = document.getElementById("print");
if (printer) {
  printer.hidden = false;
  printer.addEventListener("click", () => window.print());
}
