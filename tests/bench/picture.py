# SPDX-License-Identifier: BSD-2-Clause
"""The ratios as a picture, drawn by gnuplot."""
import subprocess

SCRIPT = """
set terminal pngcairo size 1000,600 noenhanced font "sans,11"
set output "{png}"
set title "I/O operations per second, of the bare machine's"
set style data histograms
set style histogram clustered gap 1
set style fill solid 0.9
set boxwidth 0.9
set yrange [0:1.1]
set ytics 0.1
set grid ytics
set xtics rotate by -20
set key outside top center horizontal
plot $ratios using 2:xtic(1) title "direct" linecolor "#2a6f97", \\
     "" using 3 title "relayed" linecolor "#f4a259", \\
     "" using 4 title "limit of one exit per doorbell" linecolor "#cccccc", \\
     1 title "bare" linecolor "black"
"""


def draw(results, png):
    lines = ["$ratios << END"]
    for job, found in results["speed"].items():
        limit = results["limit"]["ratio"][job]
        lines.append(f'"{job}" {found["ratio"]["direct"]} '
                     f'{found["ratio"]["relayed"]} {limit}')
    script = "\n".join([*lines, "END", SCRIPT.format(png=png)])
    subprocess.run(["gnuplot"], input=script, text=True, check=True)
