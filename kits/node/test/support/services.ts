// Starts PostgreSQL and Redis for the tests, on loopback, on free ports, in a temporary directory.

import { execFileSync, spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';

/** A running service. */
export interface Service {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startPostgres(): Promise<Service> {
  const bin = postgresBin();
  const folder = mkdtempSync(join(tmpdir(), 'hooklatch-postgres-'));
  const data = join(folder, 'data');
  mkdirSync(data);
  // PostgreSQL refuses to run as root.
  const prefix = process.getuid?.() === 0 ? handOver([folder, data]) : [];
  const [program, ...rest] = [...prefix, join(bin, 'initdb')];
  execFileSync(program!, [...rest, '-D', data, '-U', 'postgres', '-A', 'trust', '-N', '--no-instructions'], {
    stdio: 'pipe',
    cwd: '/',
  });
  const port = await freePort();
  const child = start([
    ...prefix, join(bin, 'postgres'), '-D', data, '-p', String(port),
    '-c', 'listen_addresses=127.0.0.1', '-c', 'unix_socket_directories=', '-c', 'max_connections=200',
  ]);
  await ready(join(bin, 'pg_isready'), ['-q', '-h', '127.0.0.1', '-p', String(port)], child);
  return serviceOf(`postgres://postgres@127.0.0.1:${port}/postgres`, child, 'SIGINT', folder);
}

export async function startRedis(): Promise<Service> {
  const folder = mkdtempSync(join(tmpdir(), 'hooklatch-redis-'));
  const port = await freePort();
  const child = start([
    'redis-server', '--port', String(port), '--bind', '127.0.0.1', '--dir', folder,
    '--save', '', '--appendonly', 'no', '--maxmemory-policy', 'noeviction',
  ]);
  await ready('redis-cli', ['-h', '127.0.0.1', '-p', String(port), 'ping'], child);
  return serviceOf(`redis://127.0.0.1:${port}`, child, 'SIGTERM', folder);
}

function postgresBin(): string {
  const root = '/usr/lib/postgresql';
  const found = existsSync(root)
    ? readdirSync(root).map((version) => join(root, version, 'bin')).filter((bin) => existsSync(join(bin, 'initdb')))
    : [];
  if (found.length > 0) return found.at(-1)!;
  return join(execFileSync('pg_config', ['--bindir'], { encoding: 'utf8' }).trim());
}

function handOver(folders: string[]): string[] {
  const id = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  for (const folder of folders) chownSync(folder, id('-u'), id('-g'));
  return ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'];
}

function start(command: string[]): ChildProcess {
  const [program, ...args] = command;
  return spawn(program!, args, { stdio: 'ignore', cwd: '/' });
}

async function ready(program: string, args: string[], child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    if (child.exitCode !== null) throw new Error(`the service ended with ${child.exitCode}`);
    if (spawnSync(program, args, { stdio: 'ignore' }).status === 0) return;
    await pause(50);
  }
  throw new Error('the service does not accept connections');
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}

function serviceOf(url: string, child: ChildProcess, signal: NodeJS.Signals, folder: string): Service {
  const stop = async (): Promise<void> => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    if (child.exitCode === null && child.kill(signal)) await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  return { url, stop };
}
