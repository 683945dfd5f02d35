import json

import pytest

import fastpre
import fastpre.data
import storage
from loading import QUIET_FORK, SPEC

pytestmark = QUIET_FORK


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["shards", "parquet", "hf", "stream"])
def test_state(kind, workers, tmp_path, photo):
    images = [photo] * 40
    storage.write_shards(tmp_path / "s", images, 4)
    storage.write_parquet(tmp_path / "a.parquet", images, 5)

    def make():
        ds = {
            "shards": lambda: fastpre.data.Shards(tmp_path / "s", shuffle=7),
            "parquet": lambda: fastpre.data.Parquet(tmp_path / "a.parquet", columns=["label"]).stream(shuffle=7),
            "hf": lambda: fastpre.data.Columns(
                storage.hugging_face(images).to_iterable_dataset(num_shards=4), "image", "label"
            ),
            "stream": lambda: fastpre.data.Stream([(photo, i) for i in range(40)]),
        }[kind]()
        return fastpre.data.Loader(ds, SPEC, batch_size=3, num_workers=workers)

    L = make()
    e = [[y.tolist() for _, y in L] for _ in range(2)]
    if kind in ("shards", "parquet"):
        assert e[0] != e[1]
    for taken in (0, 1, 5, len(e[0])):
        A = make()
        it = iter(A)
        got = [next(it)[1].tolist() for _ in range(taken)]
        st = json.loads(json.dumps(A.state_dict()))
        it.close()
        B = make()
        B.load_state_dict(st)
        got += [y.tolist() for _, y in B]
        assert got == e[0]
        assert [y.tolist() for _, y in B] == e[1]
