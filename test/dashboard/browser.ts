import { chromium, type Browser } from "playwright-core";

const quiet = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

/**
 * Starts the browser that npm installed. Returns the reason if the system lacks a library that the browser needs, which npm
 * cannot install. Any other failure is thrown.
 */
export async function startBrowser(): Promise<Browser | string> {
  const { default: packaged } = await import("@sparticuz/chromium");
  try {
    return await chromium.launch({ executablePath: await packaged.executablePath(), headless: true, args: quiet });
  } catch (error) {
    const missing = /error while loading shared libraries: (\S+):/.exec(String(error))?.[1];
    if (missing === undefined) throw error;
    return `this system lacks ${missing}, which Chromium needs: install it to run the tests of the page`;
  }
}
