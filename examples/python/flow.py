"""Creates an invitation, looks at its link, accepts it and watches the event: flow.py ADDRESS"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "generated"))

import grpc
from invitation.v1 import event_service_pb2, event_service_pb2_grpc, invitation_pb2, invitation_service_pb2
from invitation.v1 import invitation_service_pb2_grpc, redemption_service_pb2, redemption_service_pb2_grpc


def main(address):
    with grpc.insecure_channel(address) as channel:
        invitations = invitation_service_pb2_grpc.InvitationServiceStub(channel)
        redemptions = redemption_service_pb2_grpc.RedemptionServiceStub(channel)
        events = event_service_pb2_grpc.EventServiceStub(channel)

        ann = invitation_pb2.Target(type=invitation_pb2.TARGET_TYPE_EMAIL, value="ann@example.org")
        scope = invitation_pb2.Scope(type="team", id="7", display_name="Team Seven")
        wanted = invitation_pb2.Invitation(scope=scope, roles=["editor"], targets=[ann])
        # The same id makes a retry safe; here each run invites anew.
        request = invitation_service_pb2.CreateInvitationRequest(invitation=wanted, send_email=False)
        invitation = invitations.CreateInvitation(request, timeout=10)
        print("created", invitation.name)

        token = invitation.invitation_token
        preview = redemptions.PreviewInvitation(redemption_service_pb2.PreviewInvitationRequest(token=token), timeout=10)
        print("preview", invitation_pb2.InvitationState.Name(preview.state), preview.scope.display_name)

        acceptor = invitation_pb2.Acceptor(subject="user-ann", email="ann@example.org", email_verified=True)
        request = redemption_service_pb2.AcceptInvitationRequest(token=token, acceptor=acceptor)
        accepted = redemptions.AcceptInvitation(request, timeout=10)
        print("accepted", accepted.acceptance.name, *accepted.acceptance.roles)

        request = event_service_pb2.WatchEventsRequest(from_beginning=True, types=["invitation.accepted"])
        for response in events.WatchEvents(request, timeout=30):
            if response.event.invitation == invitation.name:
                print("watched", response.event.type, response.event.invitation)
                break


main(sys.argv[1])
