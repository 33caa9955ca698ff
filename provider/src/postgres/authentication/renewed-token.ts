/** A token with the time at which it expires, in milliseconds since 1970. */
export interface Token {
  readonly text: string;
  readonly expiresAt: number;
}

/** A new token is requested this long before the current one expires. */
const renewalMs = 5 * 60_000;

/** One token for all connections of this process, renewed before it expires. */
export class RenewedToken {
  #token: Token | undefined;
  #request: Promise<Token> | undefined;

  constructor(private readonly request: () => Promise<Token>) {}

  /** The current token. An issuer that does not answer matters only once the token has expired. @throws what `request` throws */
  async current(): Promise<string> {
    const token = this.#token;
    if (token && Date.now() < token.expiresAt - renewalMs) return token.text;
    try {
      return (await this.#renew()).text;
    } catch (error) {
      if (token && Date.now() < token.expiresAt) return token.text;
      throw error;
    }
  }

  /** Connections that start at the same time share one request. */
  #renew(): Promise<Token> {
    this.#request ??= this.request()
      .then((token) => (this.#token = token))
      .finally(() => (this.#request = undefined));
    return this.#request;
  }
}
