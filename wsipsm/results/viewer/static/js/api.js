// What the page asks of its server; every address carries the version of the results.

export const UNFINISHED = "unfinished"; // in the place of a version: the slide has no results yet

export async function getJson(address) {
  const answer = await fetch(address);
  const found = await answer.json().catch(() => ({ error: answer.statusText }));
  if (!answer.ok) throw new Error(found.error || answer.statusText);
  return found;
}

export async function send(method, address, content) {
  const answer = await fetch(address, {
    method, body: JSON.stringify(content), headers: { "Content-Type": "application/json" },
  });
  if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || answer.statusText);
  return answer;
}

export class Source {
  constructor(id, version) {
    this.base = `/api/slides/${encodeURIComponent(id)}`;
    this.version = version;
  }

  address(path = "") {
    return `${this.base}${path && `/${path}`}?v=${this.version}`;
  }

  // Bytes of an answer; null where the server says that there is nothing.
  async bytes(path) {
    const answer = await fetch(this.address(path));
    if (!answer.ok) throw new Error((await answer.json().catch(() => ({}))).error || answer.statusText);
    return answer.status === 204 ? null : answer.arrayBuffer();
  }

  async column(name) {
    const buffer = await this.bytes(`columns/${name}`);
    return name === "class" ? new Uint8Array(buffer) : new Float32Array(buffer);
  }
}
