"""The typed client of the HTTP API. It imports neither numpy, polars, torch nor fastapi.

    from lookreel import Client, Interaction, Watch

    with Client("http://127.0.0.1:8000") as client:
        client.post_events([Interaction("ann", "p3", event="wishlist")])
        page = client.feed("ann", k=5, where={"markets": ("de", "fr")}, half_life="3d")
        for video in page.videos:
            print(video.rank, video.video_id, [reason.product_id for reason in video.reasons])
        client.post_events([Watch("ann", page.videos[0].video_id, watch_time_s=4.2, feed_id=page.feed_id)])
        unseen = [video.video_id for video in client.videos("ann", k=20)]

A method gives a model of `serving.answers`. `calls` describes the routes as values, `retries` decides what is sent
again, `shells` holds the two clients.
"""

from serving.client.calls import FeedOptions as FeedOptions
from serving.client.errors import ApiCallError as ApiCallError
from serving.client.retries import Retries as Retries
from serving.client.rows import Interaction as Interaction
from serving.client.rows import Watch as Watch
from serving.client.rows import with_event_ids as with_event_ids
from serving.client.shells import AsyncClient as AsyncClient
from serving.client.shells import Client as Client
