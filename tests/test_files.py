import subprocess
import sys

from sb3_fpac.files import writing


def test_two_processes_that_write_the_same_file_at_the_same_time_do_not_mix(tmp_path):
    path = tmp_path / "agent.txt"
    program = "import sys; from sb3_fpac.files import writing\nwith writing(sys.argv[1]) as file: file.write_text('theirs')"
    with writing(path) as unfinished:
        unfinished.write_text("ours")
        subprocess.run([sys.executable, "-c", program, path], check=True)
        assert path.read_text() == "theirs"
    assert path.read_text() == "ours"
    assert list(tmp_path.iterdir()) == [path]
