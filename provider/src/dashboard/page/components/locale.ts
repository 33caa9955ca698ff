/**
 * The browser's locale, or English where it is invalid, as `en-US@posix` is. The chart library reads `navigator.language` and
 * fails on an invalid one, so this module loads before it and replaces that value.
 */
export const locale = isValid(navigator.language) ? navigator.language : "en";

if (locale !== navigator.language) Object.defineProperty(navigator, "language", { value: locale });

function isValid(language: string): boolean {
  try {
    return Intl.getCanonicalLocales(language).length > 0;
  } catch {
    return false;
  }
}
