// A JSON reader that keeps numbers as they are written. JSON.parse rounds 9007199254740993 to
// 9007199254740992, and two orders become one; it also hides repeated names.

export type Node =
  | { readonly kind: 'object'; readonly members: Map<string, Node>; readonly repeated: boolean }
  | { readonly kind: 'array'; readonly items: readonly Node[] }
  | { readonly kind: 'string'; readonly text: string }
  | { readonly kind: 'number'; readonly text: string }
  | { readonly kind: 'boolean'; readonly value: boolean }
  | { readonly kind: 'null' };

const DEPTH_MAX = 128;
const NUMBER_DIGITS_MAX = 1_000;
const EXPONENT_DIGITS_MAX = 18;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const SPACE = /[ \t\n\r]*/y;

/** The document in `body`, or null where it is not JSON in UTF-8. */
export function readJson(body: Uint8Array): Node | null {
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(body);
    return new Reader(text).document();
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError) return null;
    throw error;
  }
}

class Reader {
  private at = 0;

  constructor(private readonly text: string) {}

  document(): Node {
    const node = this.value(0);
    this.take(SPACE);
    if (this.at !== this.text.length) throw new SyntaxError('something follows the document');
    return node;
  }

  private value(depth: number): Node {
    if (depth > DEPTH_MAX) throw new SyntaxError('nested too deeply');
    this.take(SPACE);
    switch (this.text[this.at]) {
      case '{':
        return this.object(depth);
      case '[':
        return this.array(depth);
      case '"':
        return { kind: 'string', text: this.string() };
      case 't':
        return this.word('true', { kind: 'boolean', value: true });
      case 'f':
        return this.word('false', { kind: 'boolean', value: false });
      case 'n':
        return this.word('null', { kind: 'null' });
      default:
        return { kind: 'number', text: this.some(NUMBER) };
    }
  }

  private object(depth: number): Node {
    const members = new Map<string, Node>();
    let repeated = false;
    this.at += 1;
    if (this.punctuation('}')) return { kind: 'object', members, repeated };
    do {
      this.take(SPACE);
      const name = this.string();
      if (!this.punctuation(':')) throw new SyntaxError('a colon is missing');
      repeated ||= members.has(name);
      members.set(name, this.value(depth + 1));
    } while (this.punctuation(','));
    if (!this.punctuation('}')) throw new SyntaxError('an object is not closed');
    return { kind: 'object', members, repeated };
  }

  private array(depth: number): Node {
    const items: Node[] = [];
    this.at += 1;
    if (this.punctuation(']')) return { kind: 'array', items };
    do items.push(this.value(depth + 1));
    while (this.punctuation(','));
    if (!this.punctuation(']')) throw new SyntaxError('an array is not closed');
    return { kind: 'array', items };
  }

  private string(): string {
    const start = this.at;
    if (this.text[start] !== '"') throw new SyntaxError('a string is missing');
    let end = start + 1;
    while (this.text[end] !== '"') {
      if (end >= this.text.length) throw new SyntaxError('a string is not closed');
      end += this.text[end] === '\\' ? 2 : 1;
    }
    this.at = end + 1;
    // JSON.parse checks the escapes and refuses control characters.
    return JSON.parse(this.text.slice(start, this.at)) as string;
  }

  private word(word: string, node: Node): Node {
    if (!this.text.startsWith(word, this.at)) throw new SyntaxError('not a value');
    this.at += word.length;
    return node;
  }

  private punctuation(mark: string): boolean {
    this.take(SPACE);
    if (this.text[this.at] !== mark) return false;
    this.at += 1;
    return true;
  }

  private some(pattern: RegExp): string {
    const found = this.take(pattern);
    if (found === '') throw new SyntaxError('not a value');
    return found;
  }

  private take(pattern: RegExp): string {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text)?.[0] ?? '';
    this.at += found.length;
    return found;
  }
}

/**
 * The one spelling of a value, so that equal payloads are equal bytes: names sorted by code point,
 * exact numbers, no white space. Null where there is none: a repeated name, a number of more than
 * 1,000 digits, half a surrogate pair. `without` lists nodes to leave out.
 */
export function canonical(node: Node, without: ReadonlySet<Node> = new Set()): string | null {
  try {
    return written(node, without);
  } catch (error) {
    if (error instanceof NoCanonicalForm) return null;
    throw error;
  }
}

class NoCanonicalForm extends Error {}

function written(node: Node, without: ReadonlySet<Node>): string {
  switch (node.kind) {
    case 'object': {
      if (node.repeated) throw new NoCanonicalForm();
      const members = [...node.members].filter(([, member]) => !without.has(member));
      members.sort(([left], [right]) => Buffer.compare(Buffer.from(left), Buffer.from(right)));
      const parts = members.map(([name, member]) => `${quoted(name)}:${written(member, without)}`);
      return `{${parts.join(',')}}`;
    }
    case 'array': {
      const items = node.items.filter((item) => !without.has(item));
      return `[${items.map((item) => written(item, without)).join(',')}]`;
    }
    case 'string':
      return quoted(node.text);
    case 'number':
      return canonicalNumber(node.text);
    case 'boolean':
      return String(node.value);
    case 'null':
      return 'null';
  }
}

function quoted(text: string): string {
  if (!text.isWellFormed()) throw new NoCanonicalForm();
  return JSON.stringify(text);
}

/** The one spelling of a number: `100`, `1e2` and `100.0` are `1e2`. None passes through a float. */
function canonicalNumber(text: string): string {
  const negative = text.startsWith('-');
  const magnitude = negative ? text.slice(1) : text;
  const [mantissa = '', exponent = '0'] = magnitude.split(/[eE]/);
  const [whole = '', fraction = ''] = mantissa.split('.');
  if (whole.length + fraction.length > NUMBER_DIGITS_MAX) throw new NoCanonicalForm();
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return '0';
  if (exponent.replace(/^[+-]?0*/, '').length > EXPONENT_DIGITS_MAX) throw new NoCanonicalForm();
  const power = BigInt(exponent) + BigInt(digits.length - significant.length - fraction.length);
  return `${negative ? '-' : ''}${significant}${power === 0n ? '' : `e${power}`}`;
}
