/** The page that explains every code. It is generated from the catalogue. */
export const findingsPage = "https://github.com/pulumi-pg-migration/pulumi-pg-migration/blob/main/docs/findings.md";

/**
 * The address of a code on the page.
 *
 * @example
 * ```ts
 * linkToCode("PGM-101"); // https://…/docs/findings.md#pgm-101
 * ```
 */
export const linkToCode = (code: string): string => `${findingsPage}#${anchorOf(code)}`;

/** The name of a code's anchor on the page. */
export const anchorOf = (code: string): string => code.toLowerCase();
