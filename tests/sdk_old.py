"""The official SDK of another version, run as a process of its own: BASE_URL, then what it sees.

python sdk_old.py URL       with the package's folder first on PYTHONPATH
"""

from __future__ import annotations

import asyncio
import json
import sys
import warnings

warnings.simplefilter("ignore")
import openai  # noqa: E402

SMALL = {"size": "96x64", "seconds": "1"}


def main(url: str) -> None:
    told: dict[str, object] = {"version": openai.__version__}
    with openai.OpenAI(base_url=url, api_key="any", max_retries=0) as client:
        more = {"seed": 3, "loras": None, "negative_prompt": "blur"}
        video = client.videos.create_and_poll(prompt="a red ball", extra_body=more, **SMALL)
        told["first"] = video.to_dict()
        told["retrieved"] = client.videos.retrieve(video.id).to_dict()
        picture = client.videos.download_content(video.id, variant="thumbnail").read()
        still = client.videos.create(
            prompt="a ball", input_reference=("a.webp", picture, "image/webp"), **SMALL
        )
        told["still"] = client.videos.poll(still.id, poll_interval_ms=100).to_dict()
        told["remix"] = client.videos.remix(video.id, prompt="a blue ball").to_dict()
        told["content"] = client.videos.download_content(video.id).read()[4:8].decode()
        with client.videos.with_streaming_response.download_content(video.id) as answer:
            told["streamed"] = sum(len(part) for part in answer.iter_bytes())
        told["listed"] = [one.id for one in client.videos.list(limit=1)]
        told["raw"] = client.videos.with_raw_response.list(limit=1).headers["x-request-id"][:4]
        for bad in ({"size": "1x1"}, {"prompt": ""}):
            try:
                client.videos.create(**{"prompt": "a ball", **bad})
            except openai.BadRequestError as error:
                told[next(iter(bad))] = [error.param, error.code]
        told["deleted"] = client.videos.delete(still.id).deleted
    told["async"] = asyncio.run(again(url))
    print(json.dumps(told))


async def again(url: str) -> list[str]:
    async with openai.AsyncOpenAI(base_url=url, api_key="any", max_retries=0) as client:
        made = [client.videos.create_and_poll(prompt=f"ball {n}", **SMALL) for n in range(2)]
        videos = await asyncio.gather(*made)
        content = await client.videos.download_content(videos[0].id)
        assert content.read()[4:8] == b"ftyp"
        listed = [one.id async for one in client.videos.list(limit=2)]
        assert {one.id for one in videos} <= set(listed)
        return [one.status for one in videos]


if __name__ == "__main__":
    main(sys.argv[1])
