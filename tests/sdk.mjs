// The official npm SDK, unchanged, against our server: node sdk.mjs URL FOLDER-OF-NODE_MODULES
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [url, folder] = process.argv.slice(2);
const require = createRequire(pathToFileURL(folder + '/'));
const { default: OpenAI, toFile } = require('openai');
const client = new OpenAI({ baseURL: url, apiKey: 'any', maxRetries: 0 });
const small = { size: '96x64', seconds: '1' };
const told = { version: JSON.parse(readFileSync(folder + '/node_modules/openai/package.json')).version };

async function done(video) {
  while (['queued', 'in_progress'].includes(video.status)) {
    await new Promise((wake) => setTimeout(wake, 100));
    video = await client.videos.retrieve(video.id);
  }
  return video;
}

async function error(asked) {
  try {
    await asked;
  } catch (caught) {
    return [caught.constructor.name, caught.status, caught.param, caught.code];
  }
}

const extras = { seed: 7, loras: [], nonsense: { a: [1] } };
const first = await done(await client.videos.create({ prompt: 'a red ball', ...small, ...extras }));
told.first = first;
const content = await client.videos.downloadContent(first.id);
told.length = content.headers.get('content-length');
const clip = Buffer.from(await content.arrayBuffer());
told.bytes = clip.length;
told.kind = clip.subarray(4, 8).toString();
for (const variant of ['thumbnail', 'spritesheet']) {
  const picture = await client.videos.downloadContent(first.id, { variant });
  told[variant] = picture.headers.get('content-type');
}
const thumbnail = await (await client.videos.downloadContent(first.id, { variant: 'thumbnail' })).arrayBuffer();
const file = await toFile(Buffer.from(thumbnail), 'a.webp', { type: 'image/webp' });
told.still = await done(await client.videos.create({ prompt: 'a ball', input_reference: file, ...small }));
const data = 'data:image/webp;base64,' + Buffer.from(thumbnail).toString('base64');
told.address = await client.videos.create({ prompt: 'a ball', input_reference: { image_url: data }, ...small });
told.remix = await done(await client.videos.remix(first.id, { prompt: 'a blue ball' }));
told.edit = await done(await client.videos.edit({ prompt: 'a green ball', video: { id: first.id } }));
told.upload = await done(
  await client.videos.edit({ prompt: 'a green ball', video: await toFile(clip, 'c.mp4') }),
);
told.extend = await done(
  await client.videos.extend({ prompt: 'it rolls', seconds: '4', video: { id: first.id } }),
);
const mossy = await client.videos.createCharacter({ name: 'Mossy', video: await toFile(clip, 'm.mp4') });
told.character = await client.videos.getCharacter(mossy.id);
told.cast = await done(
  await client.videos.create({ prompt: 'Mossy runs', characters: [{ id: mossy.id }], ...small }),
);
told.listed = [];
for await (const video of client.videos.list({ limit: 2 })) told.listed.push(video.id);
told.wrong = await error(client.videos.create({ prompt: 'a ball', size: '1x1' }));
told.missing = await error(client.videos.retrieve('video_none'));
told.deleted = await client.videos.delete(first.id);
console.log(JSON.stringify(told));
