"""Files are written as a whole, and named if they cannot be read."""

import subprocess
import sys

import pytest

from sb3_fpac.files import DamagedFileError, reading, writing


def test_two_processes_that_write_the_same_file_at_the_same_time_do_not_mix(tmp_path):
    path = tmp_path / "agent.txt"
    program = "import sys; from sb3_fpac.files import writing\nwith writing(sys.argv[1]) as file: file.write_text('theirs')"
    with writing(path) as unfinished:
        unfinished.write_text("ours")
        subprocess.run([sys.executable, "-c", program, path], check=True)
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            EOFError("Ran out of input"),
            r"a\.pkl is damaged or half written: copy or save it again \(EOFError: Ran out of input\)",
        ),
        (
            AttributeError("Can't get attribute 'Old'"),
            r"a\.pkl cannot be read, because it is damaged, half written, or of other versions \(AttributeError: Can't get "
            r"attribute 'Old'\): copy or save it again, or install the versions that saved it\.",
        ),
    ],
)
def test_a_file_of_other_versions_is_not_called_damaged(error, words):
    with pytest.raises(DamagedFileError, match=words), reading("a.pkl"):
        raise error
