/** Sends a request, with a JSON object if there is a body, and returns the answer. @throws Error with the server's reason */
export async function post<Answer>(path: string, body?: unknown): Promise<Answer> {
  const headers = { "content-type": "application/json" };
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = (await response.json()) as Answer & { readonly error?: string };
  if (!response.ok) throw new Error(answer.error ?? `The dashboard answered with status ${response.status}.`);
  return answer;
}
