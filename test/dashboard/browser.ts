import { chromium, type Browser } from "playwright-core";

const quiet = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/**
 * Starts the browser that npm has installed. Answers why not where the system lacks a library that it is linked against,
 * which is nothing that npm could install; every other failure is one.
 */
export async function startBrowser(): Promise<Browser | string> {
  const { default: packaged } = await import("@sparticuz/chromium");
  try {
    return await chromium.launch({ executablePath: await packaged.executablePath(), headless: true, args: quiet });
  } catch (error) {
    const missing = /error while loading shared libraries: (\S+):/.exec(String(error))?.[1];
    if (missing === undefined) throw error;
    return `this system lacks ${missing}, which Chromium is linked against: install it to run the tests of the page`;
  }
}
