// Runs the vectors that the kits of every language share against one store.

import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';

import type { Ledger, Run } from '../../src/index.js';

export interface Operation {
  readonly op: string;
  readonly [name: string]: any;
}

export interface Vector {
  readonly id: string;
  readonly name: string;
  readonly rounds?: number;
  readonly operations: readonly Operation[];
}

export interface VectorFile {
  readonly keys: any[];
  readonly step_keys: any[];
  readonly signatures: any[];
  readonly machine: Vector[];
  readonly machine_more: Vector[];
  readonly answers: any[];
}

/** The repository that this package lies in. */
export const repository = upTo('crates/receiver/vectors/receiver.json');

export const vectors = JSON.parse(
  readFileSync(new URL('crates/receiver/vectors/receiver.json', repository), 'utf8'),
) as VectorFile;

function upTo(path: string): URL {
  let folder = new URL('./', import.meta.url);
  while (!existsSync(new URL(path, folder))) {
    const parent = new URL('../', folder);
    if (parent.href === folder.href) throw new Error(`${path} is in no folder above the tests`);
    folder = parent;
  }
  return folder;
}

/** The ids of the vectors that fail, with why. */
export async function failures(store: Ledger, list: readonly Vector[]): Promise<Map<string, string>> {
  const failed = new Map<string, string>();
  const run = async (vector: Vector): Promise<void> => {
    try {
      for (let round = 0; round < (vector.rounds ?? 1); round += 1) await new Round(store).all(vector);
    } catch (error) {
      failed.set(vector.id, (error as Error).message);
    }
  };
  // Most of them wait: they do it together, but not while others race.
  const racing = (vector: Vector): boolean => vector.operations.some((o) => /^(parallel|race)/.test(o.op));
  await Promise.all(list.filter((vector) => !racing(vector)).map(run));
  for (const vector of list.filter(racing)) await run(vector);
  return failed;
}

class Round {
  private readonly seed = randomBytes(16);
  private readonly runs = new Map<string, Run>();

  constructor(private readonly store: Ledger) {}

  async all(vector: Vector): Promise<void> {
    for (const [index, operation] of vector.operations.entries()) {
      const got = await this.one(operation);
      for (const [name, expected] of Object.entries(operation['expect'] ?? {})) {
        const at = `${vector.id} ${vector.name}, operation ${index + 1} (${operation.op}): ${name}`;
        assert.deepEqual(got[name], expected, at);
      }
    }
  }

  private async one(o: Operation): Promise<Record<string, unknown>> {
    const { store } = this;
    switch (o.op) {
      case 'begin':
        return this.begin(o);
      case 'parallel_begin':
        return this.parallel(o);
      case 'race_complete_begin':
        return this.race(o);
      case 'complete':
        return { outcome: await store.complete(this.run(o), Buffer.from(o['result']), o['retention_ms']) };
      case 'release':
        return { outcome: await store.release(this.run(o), o['retry_after_ms'], o['error']) };
      case 'renew':
        return { outcome: await store.renew(this.run(o), o['lease_ms']) };
      case 'fail':
        return { outcome: await store.fail(this.run(o), o['error'], o['retention_ms']) };
      case 'lookup': {
        const found = await store.lookup(this.bytes(o['key']));
        return found === null ? { state: 'absent' } : { ...found, result: found.result?.toString() };
      }
      case 'advance':
        await pause(o['ms']);
        return {};
      case 'sweep':
        await store.sweep(o['limit']);
        return {};
      case 'load_step': {
        const found = await store.loadStep(this.bytes(o['key']), o['generation'], o['step']);
        return { result: found?.toString() ?? null };
      }
      case 'save_step':
        return { outcome: await store.saveStep(this.run(o), o['step'], Buffer.from(o['result'])) };
      default:
        throw new Error(`the vectors have an operation that is not known here: ${o.op}`);
    }
  }

  private async begin(o: Operation): Promise<Record<string, unknown>> {
    const name: string | undefined = o['as'] ?? o['with_token'];
    const begin = await this.store.begin({
      key: this.bytes(o['key']),
      fingerprint: this.bytes(o['fingerprint']),
      leaseMs: o['lease_ms'],
      attemptsMax: o['attempts_max'] ?? 8,
      force: o['force'] ?? false,
      ...(name === undefined ? {} : { token: this.bytes(name).toString('hex').slice(0, 32) }),
    });
    if (begin.outcome === 'run' && name !== undefined) this.runs.set(name, begin);
    return begin.outcome === 'done' ? { ...begin, result: begin.result.toString() } : { ...begin };
  }

  private async parallel(o: Operation): Promise<Record<string, unknown>> {
    const request = {
      key: this.bytes(o['key']),
      fingerprint: this.bytes(o['fingerprint']),
      leaseMs: o['lease_ms'],
    };
    const begun = await Promise.all(Array.from({ length: o['count'] }, () => this.store.begin(request)));
    const runs = begun.filter((begin) => begin.outcome === 'run');
    if (runs[0] !== undefined) this.runs.set(o['as'], runs[0]);
    const busy = begun.filter((begin) => begin.outcome === 'busy').length;
    return { run: runs.length, busy, attempt: runs[0]?.attempt };
  }

  private async race(o: Operation): Promise<Record<string, unknown>> {
    const complete = (): Promise<unknown> =>
      this.store.complete(this.run(o), Buffer.from(o['result']), o['retention_ms']);
    const begin = (): Promise<{ outcome: string }> =>
      this.store.begin({
        key: this.bytes(o['key']),
        fingerprint: this.bytes(o['fingerprint']),
        leaseMs: o['lease_ms'],
      });
    const [completed, begun] = await Promise.all([complete(), begin()]);
    return { winners: Number(completed === 'applied') + Number(begun.outcome === 'run') };
  }

  /** The claim behind a token's name; "forged" was never given out. */
  private run(o: Operation): Run {
    const found = this.runs.get(o['token']);
    if (found !== undefined) return found;
    const token = randomBytes(16).toString('hex');
    return { outcome: 'run', key: this.bytes(o['key']), token, attempt: 1, generation: 1 };
  }

  /** A value of this round for a name. */
  private bytes(name: string): Buffer {
    return createHash('sha256').update(this.seed).update(name).digest();
  }
}
