// Runs every test: starts the services that are not given by HOOKLATCH_TEST_POSTGRES_URL and
// HOOKLATCH_TEST_REDIS_URL once for all files, and ends them again.

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';

import { startPostgres, startRedis, type Service } from './support/services.js';

const services: Service[] = [];
const given = async (name: string, start: () => Promise<Service>): Promise<string> => {
  const url = process.env[name];
  if (url !== undefined && url !== '') return url;
  const service = await start();
  services.push(service);
  return service.url;
};

try {
  const env = {
    ...process.env,
    HOOKLATCH_TEST_POSTGRES_URL: await given('HOOKLATCH_TEST_POSTGRES_URL', startPostgres),
    HOOKLATCH_TEST_REDIS_URL: await given('HOOKLATCH_TEST_REDIS_URL', startRedis),
  };
  const here = import.meta.dirname;
  const files = readdirSync(here).filter((name) => name.endsWith('.test.js')).map((name) => join(here, name));
  const tests = spawn(process.execPath, ['--test', '--test-timeout=300000', ...files], { env, stdio: 'inherit' });
  process.exitCode = await new Promise((resolve) => tests.on('exit', (code) => resolve(code ?? 1)));
} finally {
  for (const service of services) await service.stop();
}
